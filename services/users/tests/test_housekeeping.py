"""Expired rows are deleted in batches, and rows in use stay."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from chassis.persistence.database import Connection, Database
from users.app import MIGRATIONS
from users.workers import housekeeping

TABLES = ("sessions", "refresh_tokens", "sign_in_budgets", "known_devices")
OLD_S = 3600.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


async def insert(database: Database, *, expired: int, in_use: int) -> None:
    """Insert so many sessions with a token each, and so many budgets and devices."""
    account = uuid7()

    async def work(connection: Connection) -> None:
        await connection.execute(
            "INSERT INTO accounts (id, email, name, password_hash, roles) VALUES ($1, 'ada@b.co', 'Ada', 'hash', '{}')",
            account,
        )
        for index in range(expired + in_use):
            session: UUID = uuid7()
            age_s = OLD_S if index < expired else -60.0
            await connection.execute(
                "INSERT INTO sessions (id, account_id, expires_at) VALUES ($1, $2, now() - make_interval(secs => $3))",
                session, account, age_s,
            )  # fmt: skip
            await connection.execute(
                """
                INSERT INTO refresh_tokens (hash, session_id, expires_at)
                VALUES (sha256(uuid_send($1)), $1, now() - make_interval(secs => $2))
                """,
                session, age_s,
            )  # fmt: skip
            await connection.execute(
                """
                INSERT INTO sign_in_budgets (key, full_at)
                VALUES (sha256(uuid_send($1)), now() - make_interval(secs => $2))
                """,
                session, age_s,
            )  # fmt: skip
            await connection.execute(
                """
                INSERT INTO known_devices (hash, account_id, expires_at)
                VALUES (sha256(uuid_send($1)), $3, now() - make_interval(secs => $2))
                """,
                session, age_s, account,
            )  # fmt: skip

    await database.run(work)


async def counts(database: Database) -> list[Any]:
    return [
        await database.read(lambda connection, table=table: connection.fetchval(f"SELECT count(*) FROM {table}"))  # type: ignore[misc]
        for table in TABLES
    ]


async def test_expired_rows_are_deleted_and_rows_in_use_stay(database: Database) -> None:
    await insert(database, expired=3, in_use=2)
    assert not await housekeeping.delete_expired(database)
    assert await counts(database) == [2, 2, 2, 2]


async def test_a_backlog_is_deleted_in_several_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH_MAX", 4)
    await insert(database, expired=10, in_use=1)
    assert await housekeeping.delete_expired(database)
    assert (await counts(database))[0] == 7
    while await housekeeping.delete_expired(database):
        pass
    assert await counts(database) == [1, 1, 1, 1]
