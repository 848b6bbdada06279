"""A queue that lacks the history gets it while its group takes, whatever breaks, and blocks no publisher."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import uuid4

import aio_pika
import pytest
from structlog.testing import capture_logs

from chassis.messaging.broker import BrokerUnavailable, Delivery, Message, Subscription
from chassis.messaging.brokers.rabbitmq import backfill, topology
from chassis.messaging.brokers.rabbitmq.broker import RabbitBroker
from chassis.messaging.brokers.rabbitmq.queue import PREFETCH

NewBroker = Callable[[], Awaitable[RabbitBroker]]
T = TypeVar("T")
AHEAD_MAX = 50
READ_AT_ONCE = 256


@pytest.fixture
def short_way_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "AHEAD_MAX", AHEAD_MAX)


def _messages(count: int, first: int = 0, size: int = 4) -> list[Message]:
    numbers = range(first, first + count)
    return [Message(id=str(uuid4()), type="order.placed", body=f"{number:0>{size}}".encode()) for number in numbers]


def _numbers(deliveries: Sequence[Delivery]) -> list[int]:
    """Each once, in the order in which they came first."""
    return list(dict.fromkeys(int(delivery.body) for delivery in deliveries))


async def _insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """As the relay and the consumer do."""
    async with asyncio.timeout(100):
        while True:
            try:
                return await attempt()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _until_it_can_publish(broker: RabbitBroker) -> None:
    async with asyncio.timeout(30):
        while not broker._outgoing.is_up:
            await asyncio.sleep(0.01)


async def _take(subscription: Subscription, numbers: int) -> list[Delivery]:
    """Until there are so many different ones."""
    taken: list[Delivery] = []

    async def fetch() -> None:
        while len(_numbers(taken)) < numbers:
            for delivery in await subscription.fetch(64, 0.5):
                taken.append(delivery)
                await delivery.acknowledge()

    await _insist(fetch)
    return taken


async def _take_until_filled(subscription: Subscription, broker: RabbitBroker) -> list[Delivery]:
    """Until the queue has its mark, and then what is left."""
    taken: list[Delivery] = []
    is_filled = False

    async def fetch() -> None:
        nonlocal is_filled
        while True:
            deliveries = await subscription.fetch(64, 0.2)
            for delivery in deliveries:
                taken.append(delivery)
                await delivery.acknowledge()
            if is_filled and not deliveries:
                return
            is_filled = await broker._topology.is_filled(broker._incoming.connection, "group")

    await _insist(fetch)
    return taken


async def test_what_an_interrupted_copy_left_in_the_queue_blocks_no_publisher(
    new_broker: NewBroker,
    operator: aio_pika.abc.AbstractChannel,
    exchange: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topology, "QUEUE_BYTES_MAX", 200_000)
    publisher, taker = await new_broker(), await new_broker()
    history = _messages(30, size=4_000)
    await publisher.publish(history)
    await taker._topology.make_group(taker._incoming.connection, "group", ["*"])
    for message in history:  # More than half of what the queue may hold, so that a second copy has no room beside it.
        copy = aio_pika.Message(message.body, message_id=message.id, type=message.type)
        await operator.default_exchange.publish(copy, f"{exchange}.group")
    subscription = await _insist(lambda: taker.subscribe("group", ["*"]))
    taken = await _take_until_filled(subscription, taker)
    assert sorted(_numbers(taken)) == list(range(30))
    await publisher.publish(_messages(1, first=30))
    assert _numbers(await _take(subscription, 1)) == [30]


async def test_a_history_that_is_larger_than_the_queue_is_taken_while_it_is_copied(
    new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "QUEUE_BYTES_MAX", 100_000)
    publisher, taker = await new_broker(), await new_broker()
    await publisher.publish(_messages(100, size=4_000))
    subscription = await _insist(lambda: taker.subscribe("group", ["*"]))

    async def publish() -> None:
        for number in range(100, 120):
            await _insist(lambda number=number: publisher.publish(_messages(1, first=number, size=4_000)))

    publishing = asyncio.create_task(publish())
    taken = await _take(subscription, 120)
    await publishing
    assert sorted(_numbers(taken)) == list(range(120))
    await _take_until_filled(subscription, taker)


@pytest.mark.usefixtures("short_way_ahead")
async def test_a_copy_goes_no_further_ahead_than_it_is_taken_and_keeps_the_order(new_broker: NewBroker) -> None:
    publisher, taker = await new_broker(), await new_broker()
    await publisher.publish(_messages(2_000))
    subscription = await taker.subscribe("group", ["*"])
    taken: list[Delivery] = []
    while len(taken) < 2_000:
        assert await subscription.pending() <= PREFETCH + AHEAD_MAX + READ_AT_ONCE
        taken += await _take(subscription, 1)
    assert [int(delivery.body) for delivery in taken] == list(range(2_000))


@pytest.mark.usefixtures("short_way_ahead")
async def test_a_copy_goes_on_where_it_was_when_the_way_to_publish_was_lost(
    new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, taker = await new_broker(), await new_broker()
    await publisher.publish(_messages(1_200))
    subscription = await taker.subscribe("group", ["*"])
    # What is on its way when a connection ends waits for so long; and on a busy machine, whatever is published may.
    monkeypatch.setattr("chassis.messaging.brokers.rabbitmq.broker.PUBLISH_S_MAX", 6.0)
    taken: list[Delivery] = []
    with capture_logs() as logs:
        for _ in range(2):
            taker._outgoing.drop("the test wants it")
            taken += await _take(subscription, 400)
            await _until_it_can_publish(taker)
        taken += await _take_until_filled(subscription, taker)
    assert _numbers(taken) == list(range(1_200))
    assert {delivery.attempt for delivery in taken} == {1}, "what was in hand stayed there"
    events = [log["event"] for log in logs]
    assert "the history is copied anew" not in events
    assert events.count("the connection to the broker is given up") == 2, "the new one is not blamed for the old one"


@pytest.mark.usefixtures("short_way_ahead")
@pytest.mark.parametrize("what", ["the connection", "the queue", "the service"])
async def test_what_is_lost_in_the_midst_of_a_copy_costs_nothing_of_the_past(
    what: str, new_broker: NewBroker, operator: aio_pika.abc.AbstractChannel, exchange: str
) -> None:
    publisher, taker = await new_broker(), await new_broker()
    await publisher.publish(_messages(1_000))
    subscription: Subscription = await taker.subscribe("group", ["*"])
    taken = await _take(subscription, 400)
    if what == "the connection":
        await taker._incoming.connection.close()
    elif what == "the queue":
        await operator.queue_delete(f"{exchange}.group")
    else:
        await taker.stop()
        taker = await new_broker()
        subscription = await taker.subscribe("group", ["*"])
    taken += await _take_until_filled(subscription, taker)
    assert sorted(_numbers(taken)) == list(range(1_000))
    await taker.stop()
    again = await (await new_broker()).subscribe("group", ["*"])
    assert await again.fetch(64, 0.3) == [], "the mark is that of the queue"
