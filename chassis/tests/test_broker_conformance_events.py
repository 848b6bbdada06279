"""The journal's way to its consumers over each broker that there is: what dies or fails on the way costs no event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cartwright.testkit.servers import NatsServer, RabbitServer
from chassis.messaging import consumer as consumer_module
from chassis.messaging import envelope, inbox, journal
from chassis.messaging.broker import Broker, BrokerUnavailable, Message
from chassis.messaging.brokers import broker_for
from chassis.messaging.consumer import ATTEMPTS_MAX, Consumer
from chassis.messaging.envelope import Envelope
from chassis.messaging.journal import Event
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
Start = Callable[[Any], Awaitable[None]]
SECONDS_MAX = 60


class Placed(msgspec.Struct):
    name: str


class Effects:
    """Writes the name of each event, and fails for good at those whose names are in `bad`."""

    def __init__(self) -> None:
        self.bad: set[str] = set()

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        names = [envelope.read(event, Placed).name for event in events]
        if self.bad & set(names):
            raise RuntimeError("a bug")
        await connection.execute("INSERT INTO effect (name) SELECT unnest($1::text[])", names)


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def relay(database: Database, broker: Broker) -> Relay:
    return Relay("orders", database, broker)


@pytest.fixture
def consumer(database: Database, broker: Broker, effects: Effects) -> Consumer:
    return Consumer(group="test", types=["order.*"], broker=broker, database=database, handle=effects)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a part, which is stopped at the end of the test."""
    async with contextlib.AsyncExitStack() as running:

        async def start(part: Any) -> None:
            running.push_async_callback(part.stop)
            await part.start()

        yield start


async def _say(database: Database, *names: str) -> None:
    events = [Event(type="order.placed", subject=name, data=Placed(name)) for name in names]
    await database.run(lambda connection: journal.append(connection, events))


async def _has_effects(database: Database, expected: int) -> bool:
    async def count(connection: Connection) -> tuple[int, int]:
        row = await connection.fetchrow("SELECT count(*), count(DISTINCT name) FROM effect")
        assert row is not None
        return row[0], row[1]

    found = await database.read(count)
    assert max(found) <= expected, "an event had its effect twice"
    return found == (expected, expected)


@pytest.mark.parametrize("count", [5_000, pytest.param(50_000, marks=pytest.mark.matrix)])
async def test_thousands_of_events_have_one_effect_each_within_seconds(
    database: Database, relay: Relay, consumer: Consumer, start: Start, count: int
) -> None:
    for first in range(0, count, 5_000):
        await _say(database, *map(str, range(first, first + 5_000)))
    await start(consumer)
    await start(relay)
    async with asyncio.timeout(SECONDS_MAX):
        while not await _has_effects(database, count):
            await asyncio.sleep(0.2)


async def test_events_that_a_broker_lost_are_said_again_and_take_effect_once(
    database: Database,
    broker: Broker,
    server: NatsServer | RabbitServer,
    relay: Relay,
    consumer: Consumer,
    start: Start,
    eventually: Eventually,
) -> None:
    await start(relay)
    await start(consumer)
    await _say(database, "heard 1", "heard 2")
    await eventually(lambda: _has_effects(database, 2), "the first had their effect")
    await consumer.stop()
    await _say(database, "lost 1", "lost 2")
    await eventually(lambda: _is_all_published(database), "the others are at the broker")
    await asyncio.to_thread(server.kill)
    server.lose_store()
    await asyncio.to_thread(server.start)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert await database.run(lambda connection: relay.rewind(connection, an_hour_ago)) == 4
    again = Consumer(group="test", types=["order.*"], broker=broker, database=database, handle=Effects())
    await start(again)
    await _until(lambda: _has_effects(database, 4), "all had their effect, each once")


async def test_a_broker_that_restarts_in_mid_stream_costs_no_event_and_doubles_none(
    database: Database, server: NatsServer | RabbitServer, relay: Relay, consumer: Consumer, start: Start
) -> None:
    await start(relay)
    await start(consumer)
    saying = asyncio.create_task(_say_one_by_one(database, 400))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    await saying
    await _until(lambda: _has_effects(database, 400), "all had their effect, each once")


async def _say_one_by_one(database: Database, count: int) -> None:
    for number in range(count):
        await _say(database, str(number))
        await asyncio.sleep(0.005)


async def test_a_poisoned_event_is_kept_with_its_reason_and_holds_up_no_other(
    database: Database,
    relay: Relay,
    consumer: Consumer,
    effects: Effects,
    start: Start,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer_module, "RETURN_DELAY_S", 0.05)
    effects.bad = {"3"}
    await start(relay)
    await start(consumer)
    await _say(database, *map(str, range(10)))
    await eventually(lambda: _has_effects(database, 9), "all others had their effect")
    await eventually(lambda: _has_dead_letters(database, 1), "the bad one is kept")
    (letter,) = await database.read(lambda connection: inbox.read_dead_letters(connection, None, 10))
    assert (letter.subject, letter.attempts, letter.reason) == ("3", ATTEMPTS_MAX, "RuntimeError: a bug")
    await eventually(lambda: _nothing_waits(consumer), "nothing waits any more")


async def test_a_message_that_is_no_event_is_acknowledged(
    broker: Broker, consumer: Consumer, start: Start, eventually: Eventually
) -> None:
    await start(consumer)
    await eventually(
        lambda: _succeeds(broker.publish([Message("id", "order.placed", b"no event")])), "the broker is there"
    )
    await eventually(lambda: _nothing_waits(consumer), "nothing waits any more")


async def test_a_group_that_comes_late_hears_all_that_was_said(
    database: Database, url: str, relay: Relay, start: Start, eventually: Eventually
) -> None:
    await start(relay)
    await _say(database, "a", "b", "c")
    await eventually(lambda: _is_all_published(database), "all is at the broker")
    late = broker_for(url, "late")
    await start(late)
    await start(Consumer(group="late", types=["order.*"], broker=late, database=database, handle=Effects()))
    await eventually(lambda: _has_effects(database, 3), "all had their effect")


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """With the time that a broker may take to come back, and its clients to notice."""
    deadline = asyncio.get_running_loop().time() + SECONDS_MAX
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"after {SECONDS_MAX} s it is still not so that {what}"
        await asyncio.sleep(0.1)


async def _is_all_published(database: Database) -> bool:
    async def count(connection: Connection) -> int:
        row = await connection.fetchrow(
            """
            SELECT count(*)
            FROM journal
            JOIN journal_relay AS relay ON relay.name = 'signed'
            WHERE (journal.transaction_id, journal.position) > (relay.transaction_id, relay.position)
            """
        )
        assert row is not None
        return int(row[0])

    return await database.read(count) == 0


async def _has_dead_letters(database: Database, count: int) -> bool:
    return len(await database.read(lambda connection: inbox.read_dead_letters(connection, None, 10))) == count


async def _nothing_waits(consumer: Consumer) -> bool:
    """By the consumer's own subscription: another one would take its share of the messages."""
    return consumer._subscription is not None and await consumer._subscription.pending() == 0


async def _succeeds(attempt: Awaitable[None]) -> bool:
    try:
        await attempt
    except BrokerUnavailable:
        return False
    return True
