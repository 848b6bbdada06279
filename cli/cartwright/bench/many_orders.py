"""Adds orders to a running system by copying some that were placed in earnest (`copies.py`): table by table, with their
stock, events, inboxes and audit's chain, so that every promise holds on them.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from cartwright.bench.copies import (
    FIRST_TRANSACTION,
    SEQUENCE,
    Chain,
    Copies,
    Entry,
    Originals,
    Positions,
    copied_journal,
    copied_rows,
)
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.launcher.system import System

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CALL_S_MAX = 3600.0

# What a purchase leaves in each database, beside the journals and audit's chain, and how it is found.
ROWS = (
    ("orders", "orders", "id = '{order}'"),
    ("catalog", "reservations", "order_id = '{order}'"),
    ("payments", "payments", "order_id = '{order}'"),
    ("payments", "ledger_entries", "payment_id IN (SELECT id FROM payments WHERE order_id = '{order}')"),
    ("payments", "sandbox_payments", "payment_id IN (SELECT id FROM payments WHERE order_id = '{order}')"),
    ("notifications", "notifications", "order_id = '{order}'"),
    ("catalog", "inbox", "event_id = ANY ('{events}'::uuid[])"),
    ("payments", "inbox", "event_id = ANY ('{events}'::uuid[])"),
    ("notifications", "inbox", "event_id = ANY ('{events}'::uuid[])"),
    ("audit", "inbox", "event_id = ANY ('{events}'::uuid[])"),
)
JOURNALS = ("orders", "payments", "notifications")
_EVENTS = "SELECT event_id, position FROM journal WHERE data ->> 'order_id' = $1 ORDER BY position"
_OWN_IDS = {
    "orders": "SELECT correlation_id FROM orders WHERE id = $1",
    "payments": "SELECT id::text FROM payments WHERE order_id = $1",
    "notifications": "SELECT id::text FROM notifications WHERE order_id = $1",
}
_COLUMNS = """
    SELECT column_name::text
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1
    ORDER BY ordinal_position
"""


class _Line(msgspec.Struct, frozen=True):
    product_id: UUID
    quantity: int


@dataclass(frozen=True)
class _Order:
    """An original: its id, and its events by journal, in the order of their positions."""

    id: str
    events: Mapping[str, Sequence[str]]

    @property
    def all_events(self) -> list[str]:
        return [event for events in self.events.values() for event in events]


async def copy_orders(system: System, order_ids: Sequence[str], copies: Copies) -> None:
    """Adds the copies. Audit has to be stopped, and the originals have to be settled to their last event.

    Copies that follow earlier ones go on from their number, with the same `first_ms`.
    """
    connections: dict[str, Connection] = {}
    try:
        for service in SERVICES_WITH_DATABASE:
            url = system.owner_url(service)
            connections[service] = await asyncpg.connect(url, command_timeout=CALL_S_MAX)
        await _Copying(connections, copies).copy(order_ids, system.layout.audit)
    finally:
        for connection in connections.values():
            await connection.close(timeout=CALL_S_MAX)


class _Copying:
    def __init__(self, connections: Mapping[str, Connection], copies: Copies) -> None:
        self._connections = connections
        self._copies = copies

    async def copy(self, order_ids: Sequence[str], audit_folder: Path) -> None:
        orders = [await self._original(order_id) for order_id in order_ids]
        originals = Originals([await self._own_ids(order) for order in orders], await self._keys(order_ids))
        for service, table, condition in ROWS:
            await self._copy_rows(originals, orders, service, table, condition)
        await self._take_stock(order_ids)
        first = {service: await self._copy_journal(originals, orders, service) for service in JOURNALS}
        await self._copy_chain(originals, orders, first, audit_folder)
        for service in SERVICES_WITH_DATABASE:
            await self._connections[service].execute("VACUUM (ANALYZE)")

    async def _original(self, order_id: str) -> _Order:
        events = {}
        for service in JOURNALS:
            rows = await self._connections[service].fetch(_EVENTS, order_id)
            events[service] = [str(row["event_id"]) for row in rows]
        return _Order(order_id, events)

    async def _own_ids(self, order: _Order) -> list[str]:
        ids = [order.id, *order.all_events]
        for service, query in _OWN_IDS.items():
            ids += [row[0] for row in await self._connections[service].fetch(query, UUID(order.id))]
        return ids

    async def _keys(self, order_ids: Sequence[str]) -> list[str]:
        query = "SELECT idempotency_key FROM orders WHERE id = $1"
        return [str(await self._connections["orders"].fetchval(query, UUID(order_id))) for order_id in order_ids]

    async def _copy_rows(
        self, originals: Originals, orders: Sequence[_Order], service: str, table: str, condition: str
    ) -> None:
        # The position of a ledger entry is given by its table.
        columns = [name for name in await self._columns(service, table) if name != "position"]
        texts = []
        for index, order in enumerate(orders):
            where = condition.format(order=order.id, events=f"{{{','.join(order.all_events)}}}")
            text = await self._text(service, f"SELECT {', '.join(columns)} FROM {table} WHERE {where}")  # noqa: S608
            texts.append(originals.with_holes(index, text))
        await self._insert(service, table, columns, copied_rows(texts, self._copies))

    async def _copy_journal(self, originals: Originals, orders: Sequence[_Order], service: str) -> int:
        """Answers the first position of the copies."""
        columns = [name for name in await self._columns(service, "journal") if name != "position"]
        wanted = ", ".join(f"'{FIRST_TRANSACTION.decode()}'" if name == "transaction_id" else name for name in columns)
        rows = []
        for index, order in enumerate(orders):
            query = f"SELECT {wanted} FROM journal WHERE data ->> 'order_id' = '{order.id}' ORDER BY position"  # noqa: S608
            rows.append(originals.with_holes(index, await self._text(service, query)).splitlines(keepends=True))
        connection = self._connections[service]
        first = int(await connection.fetchval("SELECT nextval(pg_get_serial_sequence('journal', 'position'))"))
        positions = Positions(first, [len(each) for each in rows])
        await self._insert(service, "journal", ["position", *columns], copied_journal(rows, self._copies, positions))
        await connection.execute(
            "SELECT setval(pg_get_serial_sequence('journal', 'position'), $1, false)", positions.next
        )
        return first

    async def _copy_chain(
        self, originals: Originals, orders: Sequence[_Order], first: Mapping[str, int], audit_folder: Path
    ) -> None:
        columns = [
            name
            for name in await self._columns("audit", "entries")
            if name not in {"position", "envelope", "previous_hash", "hash"}
        ]
        entries = [await self._entries(originals, index, order, columns) for index, order in enumerate(orders)]
        connection = self._connections["audit"]
        head = await connection.fetchrow("SELECT position, hash FROM chain_head")
        assert head is not None, "the first migration makes this row"
        chain = Chain(head["position"], head["hash"])
        positions = {
            service: Positions(first[service], [len(order.events[service]) for order in orders]) for service in JOURNALS
        }
        await self._insert(
            "audit",
            "entries",
            ["position", *columns, "envelope", "previous_hash", "hash"],
            chain.copied(entries, self._copies, positions),
        )
        await connection.execute("UPDATE chain_head SET position = $1, hash = $2", chain.position, chain.head)
        await self._end_lines_file(audit_folder / "audit.jsonl")

    async def _entries(self, originals: Originals, index: int, order: _Order, columns: Sequence[str]) -> list[Entry]:
        found = []
        for service in JOURNALS:
            for offset, event_id in enumerate(order.events[service]):
                rest = await self._text(
                    "audit",
                    f"SELECT {', '.join(columns)} FROM entries WHERE event_id = '{event_id}'",  # noqa: S608
                )
                envelope = await self._connections["audit"].fetchval(
                    "SELECT envelope FROM entries WHERE event_id = $1", UUID(event_id)
                )
                with_hole = re.sub(rb'"sequence":"\d+"', b'"sequence":"%b"' % SEQUENCE, envelope.encode(), count=1)
                found.append(
                    Entry(
                        event_id=originals.with_holes(index, event_id.encode()),
                        rest=originals.with_holes(index, rest.rstrip(b"\n")),
                        envelope=originals.with_holes(index, with_hole),
                        journal=service,
                        offset=offset,
                    )
                )
        return found

    async def _end_lines_file(self, file: Path) -> None:
        """Audit's file of lines gets the last line alone: audit goes on from there, not through a million others."""
        row = await self._connections["audit"].fetchrow(
            "SELECT position, recorded_at, hash, envelope FROM entries ORDER BY position DESC LIMIT 1"
        )
        assert row is not None, "there are entries"
        line = {
            "position": row["position"],
            "recorded_at": row["recorded_at"],
            "hash": row["hash"].hex(),
            "event": msgspec.Raw(row["envelope"].encode()),
        }
        with file.open("ab") as lines:
            lines.write(msgspec.json.encode(line) + b"\n")

    async def _take_stock(self, order_ids: Sequence[str]) -> None:
        """What the copies have bought is gone from the shelves."""
        connection = self._connections["catalog"]
        taken: dict[UUID, int] = {}
        for index, order_id in enumerate(order_ids):
            times = len(range(*_numbers_of(index, len(order_ids), self._copies)))
            lines = await connection.fetchval("SELECT lines FROM reservations WHERE order_id = $1", UUID(order_id))
            for line in msgspec.json.decode(lines, type=list[_Line]):
                taken[line.product_id] = taken.get(line.product_id, 0) + line.quantity * times
        await connection.executemany(
            "UPDATE stock SET available = available - $2 WHERE product_id = $1", list(taken.items())
        )

    async def _columns(self, service: str, table: str) -> list[str]:
        return [row[0] for row in await self._connections[service].fetch(_COLUMNS, table)]

    async def _text(self, service: str, query: str) -> bytes:
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            parts.append(part)

        await self._connections[service].copy_from_query(query, output=keep, format="text")
        return b"".join(parts)

    async def _insert(self, service: str, table: str, columns: Sequence[str], rows: AsyncIterator[bytes]) -> None:
        await self._connections[service].copy_to_table(table, source=rows, columns=list(columns), format="text")


def _numbers_of(index: int, originals: int, copies: Copies) -> tuple[int, int, int]:
    """The numbers of the copies of one original, as a range's start, stop and step."""
    start = copies.first + (index - copies.first) % originals
    return start, copies.first + copies.count, originals
