"""The audit record on a real PostgreSQL: concurrent writers, and every kind of tampering."""

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from audit.domain.chain import Head
from audit.record_events import record_events
from audit.verify_chain import verify_chain
from chassis.messaging import envelope
from chassis.persistence.database import Connection, Database


async def record(database: Database, events: list[Any]) -> None:
    await database.run(lambda connection: record_events(connection, events))


async def tamper(database: Database, *statements: str) -> None:
    async def work(connection: Connection) -> None:
        for statement in statements:
            await connection.execute(statement)

    await database.run_as_owner(work)


async def test_concurrent_writers_make_one_chain_without_gaps(database: Database, make_event: Any) -> None:
    await asyncio.gather(*(record(database, [make_event() for _ in range(5)]) for _ in range(20)))
    verification = await verify_chain(database)
    assert verification.is_intact
    assert verification.entries == 100


async def test_recorded_events_are_logged_with_their_correlation_id(database: Database, make_event: Any) -> None:
    events = [
        make_event(correlationid="purchase-1"),
        make_event(correlationid="purchase-2"),
        make_event("order.confirmed", correlationid="purchase-1"),
    ]
    with capture_logs() as lines:
        await record(database, events)
    assert [(line["event"], line["correlation_id"], line["event_types"], line["up_to"]) for line in lines] == [
        ("events recorded", "purchase-1", ["order.placed", "order.confirmed"], 3),
        ("events recorded", "purchase-2", ["order.placed"], 3),
    ]


async def test_an_empty_record_is_intact(database: Database) -> None:
    verification = await verify_chain(database)
    assert verification.is_intact
    assert verification.entries == 0
    assert verification.head == Head()


async def test_a_failed_batch_records_nothing(database: Database, make_event: Any) -> None:
    event = make_event()
    await record(database, [event])
    with pytest.raises(Exception, match="entries_event_id_key"):
        await record(database, [make_event(), event])
    assert (await verify_chain(database)).entries == 1


@pytest.mark.parametrize(
    ("statements", "position"),
    [
        (["UPDATE entries SET envelope = replace(envelope, 'placed', 'erased') WHERE position = 4"], 4),
        (["DELETE FROM entries WHERE position = 4"], 4),
        (["DELETE FROM entries WHERE position = 1"], 1),
        (["DELETE FROM entries WHERE position >= 6"], 6),
        (
            [
                "UPDATE entries SET position = -4 WHERE position = 4",
                "UPDATE entries SET position = 4 WHERE position = 5",
                "UPDATE entries SET position = 5 WHERE position = -4",
            ],
            4,
        ),
        (
            [
                """
                UPDATE entries
                SET envelope = '{}',
                    hash = sha256(previous_hash || int8send(position) || uuid_send(event_id) || '{}'::bytea)
                WHERE position = 4
                """
            ],
            4,
        ),
        (
            [
                """
                UPDATE entries
                SET envelope = replace(envelope, '"sequence":"1"', '"sequence":"2"'),
                    hash = sha256(previous_hash || int8send(position) || uuid_send(event_id)
                                  || convert_to(replace(envelope, '"sequence":"1"', '"sequence":"2"'), 'UTF8'))
                WHERE position = 4
                """
            ],
            5,
        ),
        (["UPDATE entries SET correlation_id = 'another' WHERE position = 4"], 4),
        (["UPDATE chain_head SET hash = sha256('another')"], 7),
        (["DELETE FROM entries WHERE position = 7", "UPDATE chain_head SET position = 6"], 6),
    ],
    ids=[
        "content",
        "deletion",
        "deletion of the first",
        "deletion of the last",
        "swap",
        "another document, with its hash",
        "one entry, with its hash",
        "a column",
        "the head",
        "the last, with the position of the head",
    ],
)
async def test_tampering_is_found_at_its_place(
    database: Database, make_event: Any, statements: list[str], position: int
) -> None:
    await record(database, [make_event() for _ in range(7)])
    assert (await verify_chain(database)).is_intact
    await tamper(database, *statements)
    verification = await verify_chain(database)
    assert not verification.is_intact
    assert verification.first_break is not None
    assert verification.first_break.position == position


async def test_a_verification_reads_several_pages(
    database: Database, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.verify_chain.PAGE_ENTRIES", 3)
    await record(database, [make_event() for _ in range(10)])
    assert (await verify_chain(database)).entries == 10
    assert (await verify_chain(database, 4)).entries == 7
    assert (await verify_chain(database, 11)).entries == 0


async def test_a_verification_from_a_missing_entry_fails(database: Database, make_event: Any) -> None:
    await record(database, [make_event()])
    assert not (await verify_chain(database, 9)).is_intact


async def test_a_verification_does_not_block_recording(
    database: Database, make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(database, [make_event() for _ in range(10)])
    monkeypatch.setattr("audit.verify_chain.PAGE_ENTRIES", 1)
    verifying = asyncio.create_task(verify_chain(database))
    async with asyncio.timeout(5):
        await record(database, [make_event() for _ in range(3)])
        verification = await verifying
    assert verification.is_intact


async def test_a_changed_actor_column_is_found(database: Database, make_event: Any) -> None:
    await record(database, [make_event(actor="operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01")])
    await tamper(database, "UPDATE entries SET actor = 'operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a02'")
    assert not (await verify_chain(database)).is_intact


async def test_entries_of_the_previous_version_are_intact(database: Database, make_event: Any) -> None:
    # Before the upgrade envelopes had no actor. During it a replica of the previous version does not set the column.
    old = make_event()
    without = msgspec.json.encode({k: v for k, v in msgspec.json.decode(old.body).items() if k != "actor"})
    await record(database, [envelope.decode(without), make_event(actor="service:orders")])
    await tamper(database, "UPDATE entries SET actor = DEFAULT")
    assert (await verify_chain(database)).is_intact
