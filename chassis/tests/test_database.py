"""Transactions happen once or not at all, whatever becomes of the server, and no wait is without a limit."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from cartwright.testkit.launching import Reaper
from cartwright.testkit.servers import PostgresServer, running_postgres
from chassis.persistence import database as module
from chassis.persistence.database import (
    ChangeUnknown,
    Connection,
    Database,
    DatabaseUnavailable,
    note_change,
    rows_affected,
)
from chassis.problems import Invalid

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


async def _names(database: Database) -> list[str]:
    rows = await database.read(lambda connection: connection.fetch("SELECT name FROM effect ORDER BY name"))
    return [row["name"] for row in rows]


async def _add(connection: Connection, name: str = "it") -> None:
    await connection.execute("INSERT INTO effect (name) VALUES ($1)", name)


@pytest.fixture(scope="module")
def shaken_postgres(reaper: Reaper) -> Iterator[PostgresServer]:
    """A server to kill and to start again; each test leaves it running."""
    with running_postgres(reaper) as server:
        yield server


@pytest.fixture
async def own_database(shaken_postgres: PostgresServer, migrations: Path) -> AsyncIterator[Database]:
    opened = Database(shaken_postgres.make_database(), migrations=migrations, pool_size_max=5)
    await opened.start()
    yield opened
    await opened.stop()


async def test_a_transaction_takes_effect(database: Database) -> None:
    await database.run(_add)
    assert await _names(database) == ["it"]


async def test_a_transaction_that_fails_has_no_effect(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await _add(connection)
        raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await database.run(work)
    assert await _names(database) == []


async def test_a_commit_hook_is_called_once_for_a_commit_that_noted_its_kind(database: Database) -> None:
    calls: list[str] = []
    database.after_commit("journal", lambda: calls.append("journal"))
    database.after_commit("other", lambda: calls.append("other"))

    async def work(connection: Connection) -> None:
        await _add(connection)
        note_change("journal")
        note_change("journal")
        assert calls == []

    await database.run(work)
    assert calls == ["journal"]
    await database.run_statement(_add_and_note)
    assert calls == ["journal", "other"]
    await database.run(_add)
    assert calls == ["journal", "other"]


async def _add_and_note(connection: Connection) -> None:
    await _add(connection)
    note_change("other")


async def test_a_commit_hook_is_not_called_for_work_that_failed(database: Database) -> None:
    calls: list[str] = []
    database.after_commit("journal", lambda: calls.append("journal"))

    async def work(connection: Connection) -> None:
        note_change("journal")
        raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await database.run(work)
    await database.run(_add)
    assert calls == []


async def test_a_connection_that_was_cut_makes_the_whole_transaction_run_again(
    database: Database, postgres: PostgresServer
) -> None:
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await _add(connection)
        if attempts == 1:
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            await asyncio.to_thread(postgres.execute, f"SELECT pg_terminate_backend({backend})")
        await connection.fetchval("SELECT 1")

    await database.run(work)
    assert attempts == 2
    assert await _names(database) == ["it"]


async def test_a_commit_whose_answer_was_lost_is_settled_by_a_repetition(database: Database) -> None:
    id_ = uuid4()
    losses = [asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")]
    answers: list[str] = []

    async def work(connection: Connection) -> None:
        answers.append(await connection.execute("INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING", id_))
        if losses:
            # What the client sees when the server commits and its answer is lost.
            await connection.execute("COMMIT")
            await connection.execute("BEGIN")
            raise losses.pop()

    await database.run(work)
    assert [rows_affected(answer) for answer in answers] == [1, 0]


async def test_a_statement_by_itself_takes_effect_and_is_repeated_when_its_answer_was_lost(database: Database) -> None:
    id_ = uuid4()
    losses = [asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")]
    answers: list[str] = []

    async def statement(connection: Connection) -> None:
        assert not connection.is_in_transaction()
        answers.append(await connection.execute("INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING", id_))
        if losses:
            raise losses.pop()

    await database.run_statement(statement)
    assert [rows_affected(answer) for answer in answers] == [1, 0]


async def test_a_change_whose_answer_was_lost_again_and_again_is_unknown(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await _add(connection)
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    for change in (database.run, database.run_statement):
        with pytest.raises(ChangeUnknown) as refusal:
            await change(work)
        assert (refusal.value.status, refusal.value.code) == (504, "change_unknown")
    with pytest.raises(DatabaseUnavailable) as read:
        await database.read(work)
    assert (read.value.status, read.value.code) == (503, "database_unavailable")


@pytest.mark.parametrize("state", ["53100", "53200", "25006"], ids=["disk full", "out of memory", "read only"])
async def test_a_server_at_fault_is_unavailable_and_nothing_was_done(database: Database, state: str) -> None:
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await _add(connection)
        await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")

    with pytest.raises(DatabaseUnavailable) as refusal:
        await database.run(work)
    assert (refusal.value.status, attempts) == (503, 4)
    assert await _names(database) == []


@pytest.mark.parametrize(
    "error",
    [asyncpg.SerializationError("victim"), asyncpg.DeadlockDetectedError("victim")],
    ids=["serialization", "deadlock"],
)
async def test_a_victim_of_others_is_run_again(database: Database, error: Exception) -> None:
    errors = [error]

    async def work(connection: Connection) -> None:
        await _add(connection)
        if errors:
            raise errors.pop()

    await database.run(work)
    assert await _names(database) == ["it"]


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM nowhere", "SELECT 1/0", "INSERT INTO effect (name) VALUES (NULL)"]
)
async def test_a_bug_is_not_run_again(database: Database, statement: str) -> None:
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute(statement)

    with pytest.raises(asyncpg.PostgresError):
        await database.run(work)
    assert attempts == 1


async def test_an_argument_of_the_wrong_kind_is_a_bug_and_not_an_outage(database: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        await database.read(lambda connection: connection.fetchval("SELECT $1::bigint", "seven"))


async def test_a_null_character_is_the_clients_mistake(database: Database) -> None:
    with pytest.raises(Invalid, match=r"U\+0000"):
        await database.run(lambda connection: _add(connection, "a\x00b"))


@pytest.mark.parametrize(
    ("type_", "value"),
    [("timestamptz", datetime.fromisoformat("9999-12-31T23:59:59-14:00")), ("bigint", 2**63)],
    ids=["time", "number"],
)
async def test_what_no_column_can_hold_is_the_clients_mistake(database: Database, type_: str, value: object) -> None:
    with pytest.raises(Invalid, match="beyond"):
        await database.read(lambda connection: connection.fetchval(f"SELECT $1::{type_}", value))


@pytest.mark.parametrize("end", [PostgresServer.kill, PostgresServer.stop], ids=["killed", "stopped"])
async def test_a_server_that_was_restarted_is_not_noticed(
    own_database: Database, shaken_postgres: PostgresServer, end: Callable[[PostgresServer], None]
) -> None:
    await asyncio.gather(*(own_database.run(lambda connection: _add(connection)) for _ in range(5)))
    await asyncio.to_thread(end, shaken_postgres)
    await asyncio.to_thread(shaken_postgres.start)
    await asyncio.gather(*(own_database.run(lambda connection: _add(connection)) for _ in range(5)))
    assert len(await _names(own_database)) == 10


async def test_a_server_that_is_away_is_told_within_the_limit_and_is_found_again(
    own_database: Database, shaken_postgres: PostgresServer
) -> None:
    await asyncio.to_thread(shaken_postgres.kill)
    assert not await own_database.is_reachable()
    with pytest.raises(DatabaseUnavailable):
        await own_database.run(_add)
    await asyncio.to_thread(shaken_postgres.start)
    assert await own_database.is_reachable()
    await own_database.run(_add)
    assert await _names(own_database) == ["it"]


async def test_a_frozen_server_is_given_up_and_its_connection_thrown_away(
    own_database: Database, shaken_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await own_database.read(lambda connection: connection.fetchval("SELECT pg_backend_pid()"))
    os.kill(backend, signal.SIGSTOP)
    try:
        began_at = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await own_database.run(_add)
        assert time.monotonic() - began_at < 1
        await own_database.run(_add)
        assert await own_database.read(lambda connection: connection.fetchval("SELECT pg_backend_pid()")) != backend
    finally:
        os.kill(backend, signal.SIGCONT)
    assert await _names(own_database) == ["it"]


async def test_a_statement_that_takes_too_long_is_unavailable_and_leaves_the_pool_whole(
    database_url: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMAND_S_MAX", 0.2)
    small = Database(database_url, migrations=migrations, pool_size_max=1)
    await small.start()
    attempts = 0

    async def work(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        await connection.execute("SELECT pg_sleep(30)")

    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await small.read(work)
    assert attempts == 3
    assert await small.read(lambda connection: connection.fetchval("SELECT 1")) == 1
    await small.stop()


async def test_a_process_that_freezes_in_a_transaction_holds_up_the_others_for_a_limited_time(
    database: Database, service_url: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_IN_TRANSACTION_S_MAX", 0.3)
    other = Database(service_url, migrations=migrations, pool_size_max=2)
    await other.start()
    has_lock, thaw = asyncio.Event(), asyncio.Event()

    async def freeze(connection: Connection) -> None:
        await connection.execute("LOCK TABLE effect")
        await _add(connection, "of the frozen one")
        has_lock.set()
        await thaw.wait()

    frozen = asyncio.create_task(other.run(freeze))
    await has_lock.wait()
    began_at = time.monotonic()
    await database.run(lambda connection: _add(connection, "of the other"))
    assert time.monotonic() - began_at < 3
    thaw.set()
    await frozen
    assert await _names(database) == ["of the frozen one", "of the other"]
    await other.stop()


async def test_work_that_is_cancelled_leaves_the_pool_whole(database_url: str, migrations: Path) -> None:
    small = Database(database_url, migrations=migrations, pool_size_max=1)
    await small.start()
    for _ in range(5):
        task = asyncio.create_task(small.run(lambda connection: connection.execute("SELECT pg_sleep(30)")))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await small.read(lambda connection: connection.fetchval("SELECT 1")) == 1
    await small.stop()


async def test_an_exhausted_pool_is_unavailable_after_the_limit(
    database_url: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACQUIRE_S_MAX", 0.1)
    small = Database(database_url, migrations=migrations, pool_size_max=1)
    await small.start()
    release = asyncio.Event()

    async def hold(connection: Connection) -> None:
        await connection.fetchval("SELECT 1")
        await release.wait()

    holding = asyncio.create_task(small.run(hold))
    await asyncio.sleep(0.05)
    with pytest.raises(DatabaseUnavailable):
        await small.run(_add)
    assert not await small.is_reachable()
    release.set()
    await holding
    await small.run(_add)
    await small.stop()


async def test_a_database_that_was_not_started_is_unavailable(migrations: Path) -> None:
    closed = Database("postgresql://nobody@127.0.0.1:1/none", migrations=migrations)
    with pytest.raises(DatabaseUnavailable):
        await closed.run(_add)
    assert not await closed.is_reachable()
    await closed.stop()


async def test_replicas_that_start_at_once_apply_each_migration_once(database_url: str, migrations: Path) -> None:
    replicas = [Database(database_url, migrations=migrations, pool_size_max=2) for _ in range(4)]
    await asyncio.gather(*(replica.start() for replica in replicas))
    applied = await replicas[0].read(lambda connection: connection.fetchval("SELECT count(*) FROM _pogo_migration"))
    assert applied == 1
    await asyncio.gather(*(replica.stop() for replica in replicas))


async def test_a_later_start_applies_only_what_is_new(database_url: str, tmp_path: Path, migrations: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    folder.joinpath("0001_first.sql").write_text(migrations.joinpath("0001_first.sql").read_text())
    first = Database(database_url, migrations=folder)
    await first.start()
    await first.run(_add)
    await first.stop()
    folder.joinpath("0002_second.sql").write_text(
        "-- More\n-- depends: 0001_first\n\n-- migrate: apply\nALTER TABLE effect ADD COLUMN more text;\n"
        "-- migrate: rollback\nALTER TABLE effect DROP COLUMN more;\n"
    )
    second = Database(database_url, migrations=folder)
    await second.start()
    assert (
        await second.read(lambda connection: connection.fetchval("SELECT name FROM effect WHERE more IS NULL")) == "it"
    )
    await second.stop()


async def test_a_start_that_finds_nothing_new_does_not_read_the_migrations(
    database_url: str, tmp_path: Path, migrations: Path
) -> None:
    only = tmp_path / "0001_first.sql"
    only.write_text(migrations.joinpath("0001_first.sql").read_text())
    first = Database(database_url, migrations=tmp_path)
    await first.start()
    await first.stop()
    only.write_text("This cannot be applied.")
    second = Database(database_url, migrations=tmp_path)
    async with asyncio.timeout(5):
        await second.start()
    await second.stop()


async def test_a_migration_that_fails_is_told_at_once_and_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    folder.joinpath("0001_first.sql").write_text(
        "-- Broken\n-- depends:\n\n-- migrate: apply\nCREATE TABLE kept (id int);\nCREATE TABLE kept (id int);\n"
        "-- migrate: rollback\nDROP TABLE kept;\n"
    )
    broken = Database(database_url, migrations=folder)
    async with asyncio.timeout(5):
        with pytest.raises(Exception, match="0001_first"):
            await broken.start()
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT to_regclass('kept')") is None
    await connection.close()


async def test_a_statement_that_takes_too_long_is_ended_at_the_server_too(
    database_url: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT_S_MAX", 0.2)
    hurried = Database(database_url, migrations=migrations)
    await hurried.start()
    async with asyncio.timeout(5):
        with pytest.raises(DatabaseUnavailable):
            await hurried.read(lambda connection: connection.execute("SELECT pg_sleep(60)"))
    await hurried.stop()


async def test_a_start_waits_for_a_server_that_comes_later(shaken_postgres: PostgresServer, migrations: Path) -> None:
    url = shaken_postgres.make_database()
    await asyncio.to_thread(shaken_postgres.kill)
    early = Database(url, migrations=migrations)
    starting = asyncio.create_task(early.start())
    await asyncio.sleep(0.3)
    assert not starting.done()
    await asyncio.to_thread(shaken_postgres.start)
    async with asyncio.timeout(10):
        await starting
    assert await early.is_reachable()
    await early.stop()


@pytest.mark.parametrize(("status", "count"), [("UPDATE 3", 3), ("INSERT 0 12", 12), ("DELETE 0", 0), ("BEGIN", 0)])
def test_the_count_of_a_command_is_read(status: str, count: int) -> None:
    assert rows_affected(status) == count
