"""Compares three forms of a statement over many rows: `python chassis/tests/benchmark_statements.py` (decision 39).

Prints the median time of one call in microseconds. The calls come in random order, on one connection.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import msgspec

from cartwright.testkit.launching import Reaper
from cartwright.testkit.servers import running_postgres
from chassis.persistence.statements import Json, Statement, columns_of

ROUNDS = 1_000


@dataclass(frozen=True, slots=True)
class Purchase:
    id: UUID
    user_id: UUID
    name: str
    email: str
    lines: Json
    payment_method: str | None
    total_minor: int | None
    currency: str | None
    from_cart: bool
    fingerprint: bytes
    correlation_id: str
    made_at: datetime


Call: TypeAlias = Callable[[Any, Sequence[Purchase]], Awaitable[object]]
TYPES = columns_of(Purchase)
COLUMNS = ", ".join(TYPES)
CREATE = f"CREATE TABLE purchases ({', '.join(f'{name} {type_}' for name, type_ in TYPES.items())}, PRIMARY KEY (id))"
INSERT = f"INSERT INTO purchases ({COLUMNS}) SELECT"
ARRAYS = ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(TYPES.values(), 1))
BY_HAND = f"{INSERT} * FROM unnest({ARRAYS}) AS new ({COLUMNS}) ON CONFLICT DO NOTHING RETURNING id"
NAMED = Statement("INSERT INTO purchases (:new.*) SELECT * FROM :new ON CONFLICT DO NOTHING RETURNING id", new=Purchase)
RECORD = ", ".join(f"{name} {'text' if type_ == 'bytea' else type_}" for name, type_ in TYPES.items())
RECORDSET = f"""
    {INSERT} {COLUMNS.replace("fingerprint", "decode(fingerprint, 'base64')")}
    FROM jsonb_to_recordset($1::jsonb) AS new ({RECORD}) ON CONFLICT DO NOTHING RETURNING id
"""


async def by_hand(connection: Any, rows: Sequence[Purchase]) -> None:
    await connection.fetch(
        BY_HAND,
        [row.id for row in rows],
        [row.user_id for row in rows],
        [row.name for row in rows],
        [row.email for row in rows],
        [row.lines for row in rows],
        [row.payment_method for row in rows],
        [row.total_minor for row in rows],
        [row.currency for row in rows],
        [row.from_cart for row in rows],
        [row.fingerprint for row in rows],
        [row.correlation_id for row in rows],
        [row.made_at for row in rows],
    )


async def named(connection: Any, rows: Sequence[Purchase]) -> None:
    await NAMED.fetch(connection, new=rows)


async def recordset(connection: Any, rows: Sequence[Purchase]) -> None:
    records = [
        {column: getattr(row, column) for column in TYPES}
        | {"lines": msgspec.Raw(row.lines.encode()), "fingerprint": b64encode(row.fingerprint)}
        for row in rows
    ]
    await connection.fetch(RECORDSET, msgspec.json.encode(records).decode())


CALLS: tuple[Call, ...] = (by_hand, named, recordset)


def _purchase() -> Purchase:
    lines = '[{"product_id": "0190a0a0-0000-7000-8000-000000000000", "quantity": 2}]'
    now = datetime.now(UTC)
    return Purchase(
        uuid4(), uuid4(), "Ada", "ada@example.com", lines, None, 1999, "EUR", False, os.urandom(32), "0190a0a0", now
    )


async def _measure(connection: Any, size: int) -> dict[Call, float]:
    times: dict[Call, list[float]] = {call: [] for call in CALLS}
    for _ in range(ROUNDS):
        for call in random.sample(CALLS, len(CALLS)):  # A form that ran just before has warm caches.
            rows = [_purchase() for _ in range(size)]
            started_at = time.perf_counter()
            await call(connection, rows)
            times[call].append(time.perf_counter() - started_at)
    return {call: statistics.median(taken[ROUNDS // 10 :]) for call, taken in times.items()}


async def _main(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(CREATE)
    await connection.execute("SET synchronous_commit = off")
    for size in (1, 32):
        for call, seconds in (await _measure(connection, size)).items():
            sys.stdout.write(f"{size:3} rows  {call.__name__:10} {seconds * 1e6:7.0f} us\n")
    await connection.close()


if __name__ == "__main__":
    with Reaper() as reaper, running_postgres(reaper) as server:
        asyncio.run(_main(server.make_database()))
