"""Each event has its effect once, whatever is delivered twice, fails, or dies; and a bad event fails alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from chassis import context, lifecycle
from chassis.lifecycle import Parts
from chassis.messaging import consumer as module
from chassis.messaging import envelope, inbox
from chassis.messaging.broker import BrokerUnavailable, Message
from chassis.messaging.brokers import nats
from chassis.messaging.brokers.nats import NatsBroker
from chassis.messaging.consumer import ATTEMPTS_MAX, Consumer, Handle
from chassis.messaging.envelope import Envelope
from chassis.messaging.relay import Relay
from chassis.persistence import database as database_module
from chassis.persistence.database import Connection, Database
from chassis.problems import OutcomeUnknown, Unavailable

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


class Placed(msgspec.Struct):
    name: str


class Handed:
    """A delivery, which remembers what became of it."""

    def __init__(self, body: bytes, attempt: int = 1, *, given_up: bool = False) -> None:
        self.body, self.attempt, self.given_up = body, attempt, given_up
        self.fate = "none"

    async def acknowledge(self) -> None:
        self.fate = "acknowledged"

    async def return_later(self, delay_s: float) -> None:
        self.fate = "returned"


class Queue:
    """Stands in for a broker and its subscription: hands out what the test puts in."""

    def __init__(self) -> None:
        self.batches: list[list[Handed]] = []
        self.away = 0
        self.waiting = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None: ...

    async def subscribe(self, group: str, types: Sequence[str]) -> "Queue":
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("not connected")
        return self

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Handed]:
        if self.batches:
            return self.batches.pop(0)
        await asyncio.sleep(0.01)
        return []

    async def pending(self) -> int:
        return self.waiting


class Effects:
    """Writes the name of each event, and does to some what the test wants."""

    def __init__(self) -> None:
        self.mishaps: dict[str, list[Exception]] = {}
        self.batches: list[list[str]] = []
        self.ids: list[str] = []

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        names = [envelope.read(event, Placed).name for event in events]
        self.batches.append(names)
        self.ids.append(context.correlation_id())
        for name in names:
            await connection.execute("INSERT INTO effect (name) VALUES ($1)", name)
            if self.mishaps.get(name):
                raise self.mishaps[name].pop(0)


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def consumer(database: Database, queue: Queue, effects: Effects) -> Consumer:
    return Consumer(group="test", types=["order.*"], broker=queue, database=database, handle=effects)


def _body(name: str, *, data: Any = None, id_: UUID | None = None, correlation: str = "purchase-1") -> bytes:
    return envelope.encode(
        Envelope(
            id=id_ or uuid7(),
            source="/orders",
            type="order.placed",
            subject=name,
            time=datetime.now(UTC),
            sequence="1",
            correlationid=correlation,
            data=msgspec.Raw(msgspec.json.encode(Placed(name) if data is None else data)),
        )
    )


def _deliveries(*names: str) -> list[Handed]:
    return [Handed(_body(name)) for name in names]


async def _names(database: Database) -> list[str]:
    rows = await database.read(lambda connection: connection.fetch("SELECT name FROM effect ORDER BY name"))
    return [row["name"] for row in rows]


async def _dead(database: Database) -> list[tuple[str, str, int]]:
    rows = await database.read(
        lambda connection: connection.fetch("SELECT subject, reason, attempts FROM dead_letters ORDER BY subject")
    )
    return [tuple(row) for row in rows]


def _message(*events: bytes, attempt: int = 1) -> Handed:
    return Handed(b"[" + b",".join(events) + b"]", attempt)


async def test_a_message_of_several_events_takes_effect_at_once(
    database: Database, consumer: Consumer, effects: Effects
) -> None:
    message = _message(_body("a"), _body("b"), _body("c"))
    await consumer._take([message, *_deliveries("d")])
    assert effects.batches == [["a", "b", "c", "d"]]
    assert message.fate == "acknowledged"
    assert await _names(database) == ["a", "b", "c", "d"]


async def test_an_event_that_fails_for_good_spoils_nothing_for_the_others_of_its_message(
    database: Database, consumer: Consumer
) -> None:
    message = _message(_body("a"), _body("b", data={"name": 1}), b'{"no": "event"}', _body("c"))
    with capture_logs() as logs:
        await consumer._take([message])
    assert message.fate == "acknowledged"
    assert await _names(database) == ["a", "c"]
    assert [subject for subject, _, _ in await _dead(database)] == ["b"]
    assert "a message that is no event was dropped" in [line["event"] for line in logs]


async def test_a_message_is_handed_back_for_one_event_and_the_others_keep_their_one_effect(
    database: Database, consumer: Consumer, effects: Effects
) -> None:
    effects.mishaps["b"] = [RuntimeError("in a race"), RuntimeError("in a race")]
    events = [_body("a"), _body("b"), _body("c")]
    first, second = _message(*events), _message(*events, attempt=2)
    await consumer._take([first])
    assert (first.fate, await _names(database)) == ("returned", ["a", "c"])
    await consumer._take([second])
    assert (second.fate, await _names(database)) == ("acknowledged", ["a", "b", "c"])


async def test_many_messages_go_in_several_transactions_of_bounded_size(
    consumer: Consumer, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_MAX", 3)
    messages = [_message(_body("a"), _body("b")), *_deliveries("c", "d"), _message(*(_body(name) for name in "efgh"))]
    await consumer._take(messages)
    assert effects.batches == [["a", "b", "c"], ["d", "e", "f", "g", "h"]]
    assert {message.fate for message in messages} == {"acknowledged"}


async def test_what_a_missing_dependency_stopped_is_handed_back_with_all_that_follows(
    consumer: Consumer, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVENTS_MAX", 1)
    effects.mishaps["b"] = [Unavailable()]
    messages = _deliveries("a", "b", "c")
    await consumer._take(messages)
    assert [message.fate for message in messages] == ["acknowledged", "returned", "returned"]


async def test_a_batch_takes_effect_together_and_is_acknowledged(
    consumer: Consumer, database: Database, effects: Effects
) -> None:
    deliveries = _deliveries("a", "b", "c")
    await consumer._take(deliveries)
    assert effects.batches == [["a", "b", "c"]]
    assert await _names(database) == ["a", "b", "c"]
    assert {delivery.fate for delivery in deliveries} == {"acknowledged"}


async def test_an_event_that_is_delivered_again_has_no_second_effect(consumer: Consumer, database: Database) -> None:
    deliveries = _deliveries("a", "b")
    await consumer._take(deliveries)
    again = [Handed(delivery.body, attempt=2) for delivery in deliveries]
    await consumer._take([*again, *_deliveries("c")])
    assert await _names(database) == ["a", "b", "c"]
    assert {delivery.fate for delivery in again} == {"acknowledged"}


async def test_without_the_inbox_there_would_be_a_second_effect(
    consumer: Consumer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgetful(connection: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
        return set(event_ids)

    monkeypatch.setattr(inbox, "take_new", forgetful)
    deliveries = _deliveries("a")
    await consumer._take(deliveries)
    await consumer._take(deliveries)
    assert await _names(database) == ["a", "a"]


async def test_an_event_that_is_twice_in_a_batch_has_one_effect(consumer: Consumer, database: Database) -> None:
    delivery = _deliveries("a")[0]
    twin = Handed(delivery.body)
    await consumer._take([delivery, twin])
    assert await _names(database) == ["a"]
    assert (delivery.fate, twin.fate) == ("acknowledged", "acknowledged")


async def test_a_poison_message_is_kept_without_another_try(
    consumer: Consumer, database: Database, effects: Effects
) -> None:
    killer = Handed(b"[" + _body("a") + b"," + _body("b") + b"]", 14, given_up=True)
    await consumer._take([killer, *_deliveries("c")])
    assert (effects.batches, killer.fate) == ([["c"]], "acknowledged")
    reason = "NobodySurvives: whoever took it ended before answering"
    assert await _dead(database) == [("a", reason, 14), ("b", reason, 14)]


async def test_what_had_its_effect_before_it_was_given_up_is_no_dead_letter(
    consumer: Consumer, database: Database
) -> None:
    (delivery,) = _deliveries("a")
    await consumer._take([delivery])
    killer = Handed(b"[" + delivery.body + b"," + _body("b") + b"]", 14, given_up=True)
    await consumer._take([killer])
    assert await _names(database) == ["a"]
    assert [subject for subject, _, _ in await _dead(database)] == ["b"]


async def test_replicas_that_get_the_same_events_at_once_give_them_one_effect(
    database: Database, queue: Queue, effects: Effects
) -> None:
    replicas = [Consumer(group="test", types=["*"], broker=queue, database=database, handle=effects) for _ in range(4)]
    deliveries = _deliveries(*map(str, range(20)))
    await asyncio.gather(
        *(
            replica._take([Handed(delivery.body) for delivery in deliveries[:: -1 if number % 2 else 1]])
            for number, replica in enumerate(replicas)
        )
    )
    assert sorted(await _names(database)) == sorted(map(str, range(20)))


async def test_a_crash_before_the_acknowledgement_leaves_one_effect(
    consumer: Consumer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Handed):
        async def acknowledge(self) -> None:
            raise SystemExit("killed")

    delivery = Dying(_body("a"))
    with pytest.raises(SystemExit):
        await consumer._take([delivery])
    await consumer._take([Handed(delivery.body, attempt=2)])
    assert await _names(database) == ["a"]


async def test_nothing_is_acknowledged_before_its_effect_is_committed(consumer: Consumer, database: Database) -> None:
    seen: list[list[str]] = []

    class Looking(Handed):
        async def acknowledge(self) -> None:
            seen.append(await _names(database))

    await consumer._take([Looking(_body("a"))])
    assert seen == [["a"]]


async def test_a_bad_event_fails_alone_and_becomes_a_dead_letter_after_its_tries(
    consumer: Consumer, database: Database, effects: Effects
) -> None:
    effects.mishaps["bad"] = [RuntimeError("a bug")] * 100
    deliveries = _deliveries("a", "bad", "c")
    await consumer._take(deliveries)
    assert await _names(database) == ["a", "c"]
    assert [delivery.fate for delivery in deliveries] == ["acknowledged", "returned", "acknowledged"]
    assert await _dead(database) == []
    last = Handed(deliveries[1].body, attempt=ATTEMPTS_MAX)
    await consumer._take([last])
    assert await _dead(database) == [("bad", "RuntimeError: a bug", ATTEMPTS_MAX)]
    assert last.fate == "acknowledged"
    assert await _names(database) == ["a", "c"]


async def test_a_dead_letter_keeps_the_whole_event_to_be_redriven(
    consumer: Consumer, database: Database, effects: Effects
) -> None:
    body = _body("bad", data={"name": 7})
    await consumer._take([Handed(body)])
    kept = await database.read(lambda connection: connection.fetchval("SELECT envelope FROM dead_letters"))
    assert kept.encode() == body


async def test_an_event_of_another_shape_is_a_dead_letter_at_once(consumer: Consumer, database: Database) -> None:
    deliveries = [*_deliveries("a"), Handed(_body("odd", data={"name": 7})), *_deliveries("c")]
    await consumer._take(deliveries)
    assert await _names(database) == ["a", "c"]
    assert [(subject, attempts) for subject, _, attempts in await _dead(database)] == [("odd", 1)]
    assert {delivery.fate for delivery in deliveries} == {"acknowledged"}


@pytest.mark.parametrize(
    "body",
    [b"", b"noise", b"{}", b"\xff", b'{"type": "\xff"}', b'{"id": 7}', b"[" * 5_000, b'{"data":' + b"[" * 99_999],
)
async def test_what_is_no_event_is_dropped_and_spoils_nothing(
    consumer: Consumer, database: Database, body: bytes
) -> None:
    deliveries = [*_deliveries("a"), Handed(body), *_deliveries("c")]
    await consumer._take(deliveries)
    assert await _names(database) == ["a", "c"]
    assert {delivery.fate for delivery in deliveries} == {"acknowledged"}


async def test_an_event_with_a_null_character_is_a_dead_letter(consumer: Consumer, database: Database) -> None:
    deliveries = [*_deliveries("a"), Handed(_body("odd", data={"name": "a\x00b"}), attempt=ATTEMPTS_MAX)]
    await consumer._take(deliveries)
    assert await _names(database) == ["a"]
    assert [subject for subject, _, _ in await _dead(database)] == ["odd"]


@pytest.mark.parametrize("reason", [Unavailable("payments is away"), OutcomeUnknown()], ids=["away", "unknown"])
async def test_what_the_absence_of_another_made_fail_is_handed_back_and_never_buried(
    consumer: Consumer, database: Database, effects: Effects, reason: Exception
) -> None:
    effects.mishaps["b"] = [reason] * 100
    for attempt in (1, ATTEMPTS_MAX, 50):
        deliveries = [Handed(_body(name), attempt=attempt) for name in ("a", "b")]
        await consumer._take(deliveries)
        assert {delivery.fate for delivery in deliveries} == {"returned"}
    assert await _names(database) == []
    assert await _dead(database) == []


async def test_how_much_waits_and_how_much_is_dead_is_told_in_the_metrics_until_it_is_mended(
    database: Database, queue: Queue, effects: Effects, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.consumer.WATCH_S", 0.02)
    consumer = Consumer(group="watched", types=["*"], broker=queue, database=database, handle=effects)

    async def told() -> tuple[float | None, ...]:
        names = ("cartwright_messages_waiting", "cartwright_dead_letters_kept")
        return tuple(REGISTRY.get_sample_value(name, {"group": "watched"}) for name in names)

    queue.batches = [[Handed(_body("odd", data={"name": 7}))]]
    queue.waiting = 3
    await consumer.start()
    await eventually(lambda: _equals(told(), (3, 1)), "three messages wait and one is dead")
    await database.run(lambda connection: connection.execute("DELETE FROM dead_letters"))
    queue.waiting = 0
    await eventually(lambda: _equals(told(), (0, 0)), "nothing waits and nothing is dead")
    await consumer.stop()


async def test_an_effect_is_told_only_once_it_is_committed(database: Database, queue: Queue, effects: Effects) -> None:
    told: list[int] = []
    consumer = Consumer(
        group="test",
        types=["*"],
        broker=queue,
        database=database,
        handle=effects,
        after_commit=lambda: told.append(len(effects.batches)),
    )
    effects.mishaps["a"] = [Unavailable()]
    await consumer._take(_deliveries("a"))
    assert told == []
    await consumer._take(_deliveries("a"))
    assert told == [2]


async def test_a_handler_gets_the_bytes_that_came(database: Database, queue: Queue) -> None:
    taken: list[bytes] = []

    async def handle(_: Connection, events: Sequence[Envelope]) -> None:
        taken.extend(event.body for event in events)

    consumer = Consumer(group="test", types=["order.*"], broker=queue, database=database, handle=handle)
    body = _body("an order").replace(b'{"id"', b'{ "tomorrow": 1.00, "body": "", "id"', 1)
    await consumer._take([Handed(body)])
    assert taken == [body]


async def test_events_are_handled_under_their_correlation_id(consumer: Consumer, effects: Effects) -> None:
    await consumer._take([Handed(_body("a", correlation="purchase-7"))])
    assert effects.ids == ["purchase-7"]


async def test_an_absent_broker_is_waited_for_without_tracebacks(
    consumer: Consumer, queue: Queue, database: Database, eventually: Eventually
) -> None:
    queue.away = 2
    queue.batches = [_deliveries("a")]
    with capture_logs() as logs:
        await consumer.start()
        await eventually(lambda: _equals(_names(database), ["a"]), "the event took effect")
        await consumer.stop()
    assert [line["event"] for line in logs] == ["a loop waits"] * 2


async def test_a_consumer_stops_at_once_while_its_broker_is_away(consumer: Consumer, queue: Queue) -> None:
    queue.away = 1_000
    await consumer.start()
    await asyncio.sleep(0.05)
    async with asyncio.timeout(0.5):
        await consumer.stop()


async def test_a_service_is_ready_while_its_broker_is_away(database: Database, effects: Effects) -> None:
    absent = NatsBroker("nats://127.0.0.1:1/cartwright", "test")
    consumer = Consumer(group="test", types=["*"], broker=absent, database=database, handle=effects)
    parts = Parts([absent, Relay("orders", database, absent), consumer])
    parts.begin()
    async with asyncio.timeout(2):
        await parts.ready.wait()
    async with asyncio.timeout(2):
        await parts.end()


@pytest.fixture
async def broker(events_url: str, eventually: Eventually) -> AsyncIterator[NatsBroker]:
    broker = NatsBroker(events_url, "test")
    await broker.start()
    yield broker
    await broker.stop()


async def test_every_event_has_one_effect_by_way_of_a_real_broker(
    broker: NatsBroker, database: Database, effects: Effects, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETURN_DELAY_S", 0.05)
    effects.mishaps = {"3": [Unavailable("away for a moment")], "7": [RuntimeError("a race"), RuntimeError("a race")]}
    replicas = [
        Consumer(group="test", types=["order.*"], broker=broker, database=database, handle=effects) for _ in range(2)
    ]
    for replica in replicas:
        await replica.start()
    messages = [Message(id=f"m-{name}", type="order.placed", body=_body(name)) for name in map(str, range(50))]
    await eventually(lambda: _succeeds(broker.publish(messages)), "the broker is there")
    # The same events again, as a relay sends them after a crash; the broker cannot know them by these ids.
    await broker.publish(
        [Message(id=f"again-{message.id}", type=message.type, body=message.body) for message in messages]
    )
    expected = sorted(map(str, range(50)))
    await eventually(lambda: _equals(_names(database), expected), "each event had one effect")
    subscription = await broker.subscribe("test", ["order.*"])
    await eventually(lambda: _equals(subscription.pending(), 0), "all is acknowledged")
    assert await _names(database) == expected
    assert await _dead(database) == []
    for replica in replicas:
        await replica.stop()


async def test_a_consumer_that_was_frozen_past_its_ack_wait_does_no_harm_when_it_wakes(
    service_url: str,
    migrations: Path,
    database: Database,
    events_url: str,
    effects: Effects,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nats, "ACK_WAIT_S", 0.5)
    monkeypatch.setattr(database_module, "IDLE_IN_TRANSACTION_S_MAX", 0.3)
    frozen, wake = asyncio.Event(), asyncio.Event()

    async def freeze_in_the_first_batch(connection: Connection, events: Sequence[Envelope]) -> None:
        await effects(connection, events)
        frozen.set()
        await wake.wait()

    async with contextlib.AsyncExitStack() as running:

        async def start(opened: Database, handle: Handle) -> NatsBroker:
            broker = NatsBroker(events_url, "test")
            consumer = Consumer(group="test", types=["order.*"], broker=broker, database=opened, handle=handle)
            for part in (broker, consumer):
                running.push_async_callback(part.stop)
                await part.start()
            return broker

        sleeper = Database(service_url, migrations=migrations, pool_size_max=2)
        running.push_async_callback(sleeper.stop)
        await sleeper.start()
        broker = await start(sleeper, freeze_in_the_first_batch)
        messages = [Message(id=f"m-{name}", type="order.placed", body=_body(name)) for name in "abc"]
        await eventually(lambda: _succeeds(broker.publish(messages)), "the broker is there")
        await frozen.wait()
        await start(database, effects)

        await eventually(lambda: _equals(_names(database), ["a", "b", "c"]), "another gave the events their effect")
        wake.set()
        subscription = await broker.subscribe("test", ["order.*"])
        await eventually(lambda: _equals(subscription.pending(), 0), "all is acknowledged")
        assert await _names(database) == ["a", "b", "c"]
        assert await _dead(database) == []


async def _equals(answer: Awaitable[Any], expected: object) -> bool:
    return bool(await answer == expected)


async def _succeeds(attempt: Awaitable[None]) -> bool:
    try:
        await attempt
    except BrokerUnavailable:
        return False
    return True


@pytest.mark.parametrize(
    ("waits_s", "gathered"),
    [([0, 0, 0, 0], [1, 2, 4, 4]), ([1, 1, 1, 0], [1, 1, 1, 1])],
    ids=["a stream", "one by one"],
)
async def test_what_waits_again_and_again_is_gathered_for_longer(
    waits_s: list[int],
    gathered: list[int],
    consumer: Consumer,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    rests: list[float] = []

    async def rest(seconds: float, *, until: asyncio.Event) -> None:
        if seconds == module.WATCH_S:
            await until.wait()
        elif seconds:
            rests.append(seconds)
        await asyncio.sleep(0)

    async def fetch(size_max: int, wait_s: float) -> Sequence[Handed]:
        if not waits_s:
            await asyncio.sleep(0.01)
            return []
        await asyncio.sleep(waits_s.pop(0) * 2 * module.AT_ONCE_S)
        return _deliveries("a")

    monkeypatch.setattr(lifecycle, "_rest", rest)
    monkeypatch.setattr(queue, "fetch", fetch)
    await consumer.start()
    try:

        async def has_rested() -> bool:
            return len(rests) >= len(gathered)

        await eventually(has_rested, "each message was taken")
    finally:
        await consumer.stop()

    assert rests[: len(gathered)] == [pytest.approx(factor * module.GATHER_S) for factor in gathered]
