"""A database that was restored from a dump goes on saying what happens, though its cluster counts anew."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from chassis.tests.test_journal_and_relay import Eventually, Record, _event, _expire_lease, _place
from structlog.testing import capture_logs

from chassis.messaging import journal, restore_detection
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database


@pytest.fixture
async def database(database_url: str, migrations: Path) -> AsyncIterator[Database]:
    """One of its own: what a restore changes stays with the database."""
    opened = Database(database_url, migrations=migrations, pool_size_max=5)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def record() -> Record:
    return Record()


async def _restore(database: Database) -> None:
    """As if it had been said in a cluster that was ten million transactions ahead of this one."""

    async def add(connection: Connection) -> None:
        for table in ("journal", "journal_relay"):
            await connection.execute(
                f"UPDATE {table} SET transaction_id = (transaction_id::text::bigint + 10_000_000)::text::xid8"
            )

    await database.run(add)
    await _expire_lease(database)


async def _numbers(database: Database, of: str = "journal") -> list[int]:
    """The numbers of transactions in that table, in the order of what was said."""
    rows = await database.read(
        lambda connection: connection.fetch(f"SELECT transaction_id::text::bigint FROM {of} ORDER BY position")
    )
    return [row[0] for row in rows]


async def test_after_a_restore_what_was_not_published_leaves_once_and_in_order(
    database: Database, record: Record
) -> None:
    await _place(database, "a", "b")
    await Relay("orders", database, record)._turn()
    await _place(database, "waits")
    await _restore(database)
    relay = Relay("orders", database, record)
    # A replica that does not relay may say something first.
    await _place(database, "said before the relay began")
    with capture_logs() as logs:
        await relay._turn()
        await _place(database, "c")
        await relay._turn()
    assert record.names == ["a", "b", "waits", "said before the relay began", "c"]
    assert [(line["log_level"], "restored from a dump" in line["event"]) for line in logs] == [("error", True)]


async def test_a_restored_journal_keeps_its_numbers_and_goes_on_above_them(database: Database, record: Record) -> None:
    await _place(database, "a", "b", "c")
    await Relay("orders", database, record)._turn()
    await _restore(database)
    before = await _numbers(database)
    await Relay("orders", database, record)._turn()
    await _place(database, "d")
    assert (await _numbers(database))[:3] == before
    assert (await _numbers(database))[3] > before[-1]


async def test_replicas_that_start_at_once_on_a_restored_database_raise_its_numbers_once(
    database: Database, record: Record
) -> None:
    await _place(database, "a")
    await _restore(database)
    await _place(database, "b")
    (highest, _) = await _numbers(database)
    with capture_logs() as logs:
        await asyncio.gather(*(restore_detection.go_on_counting(database) for _ in range(4)))
    assert len(logs) == 1
    assert await database.read(lambda connection: connection.fetchval("SELECT journal_number('0')::text")) == str(
        highest
    )
    relay = Relay("orders", database, record)
    await relay._turn()
    assert record.names == ["a", "b"]


async def test_what_is_being_said_while_the_numbers_are_raised_is_published_too(
    database: Database, database_url: str, record: Record, eventually: Eventually
) -> None:
    await _place(database, "a")
    await Relay("orders", database, record)._turn()
    await _restore(database)
    begun, saying = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    both = [begun.transaction(), saying.transaction()]
    for transaction in both:
        await transaction.start()
    # One has its number already, the other has said something, and neither has committed.
    await begun.execute("SELECT pg_current_xact_id()")
    await journal.append(saying, [_event("b")])  # type: ignore[arg-type]
    relay = Relay("orders", database, record)
    turn = asyncio.create_task(relay._turn())
    await eventually(lambda: _is_waited_for(database), "the journal is to be locked")
    await both[1].commit()
    await turn
    await journal.append(begun, [_event("c")])  # type: ignore[arg-type]
    await both[0].commit()
    await relay._turn()
    assert sorted(record.names) == ["a", "b", "c"]
    for connection in (begun, saying):
        await connection.close()


async def _is_waited_for(database: Database) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'journal'::regclass AND NOT granted)"
    return bool(await database.read(lambda connection: connection.fetchval(query)))


async def test_a_database_that_is_restored_again_goes_on_again(database: Database, record: Record) -> None:
    said = []
    for number in range(3):
        relay = Relay("orders", database, record)
        said += [f"published {number}", f"waits {number}", f"said in between {number}"]
        await _place(database, said[-3])
        await relay._turn()
        await _place(database, said[-2])
        await _restore(database)
        await _place(database, said[-1])
        assert record.names == said[:-2]
    await Relay("orders", database, record)._turn()
    assert record.names == said
    assert await _numbers(database) == sorted(await _numbers(database))


async def test_a_restored_journal_is_said_again_from_a_time_on(database: Database, record: Record) -> None:
    await _place(database, "old")
    await database.run(lambda connection: connection.execute("UPDATE journal SET time = time - interval '1 h'"))
    await _place(database, "late")
    await Relay("orders", database, record)._turn()
    await _restore(database)
    relay = Relay("orders", database, record)
    await relay._turn()
    await _place(database, "new")
    await relay._turn()
    assert await database.run(lambda connection: relay.rewind(connection, datetime.now(UTC))) == 2
    await relay._turn()
    assert record.names == ["old", "late", "new", "late", "new"]


async def test_a_cursor_that_is_further_than_its_journal_counts_too(database: Database, record: Record) -> None:
    # As where an operator has removed what was published long ago, to have room.
    await _place(database, "a")
    await Relay("orders", database, record)._turn()
    await _restore(database)
    await database.run(lambda connection: connection.execute("DELETE FROM journal"))
    relay = Relay("orders", database, record)
    await _place(database, "b")
    await relay._turn()
    await _place(database, "c")
    await relay._turn()
    assert record.names == ["a", "b", "c"]


async def test_a_database_that_was_not_restored_is_left_as_it_is(database: Database, record: Record) -> None:
    await _place(database, "a")
    with capture_logs() as logs:
        for _ in range(2):
            await Relay("orders", database, record)._turn()
            await _expire_lease(database)
    assert logs == []
    assert await database.read(lambda connection: connection.fetchval("SELECT journal_number('7')::text")) == "7"
    assert await _numbers(database) == await _numbers(database, of="journal_relay WHERE name = 'signed'")
