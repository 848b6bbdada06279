"""RabbitMQ only: queues that are made and filled, quarantine of poison messages, a server that hangs."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import aio_pika
import pytest
from structlog.testing import capture_logs

from cartwright.testkit.servers import RabbitServer
from chassis.messaging.broker import BrokerUnavailable, Delivery, Message, Subscription
from chassis.messaging.brokers import broker_for
from chassis.messaging.brokers.rabbitmq import connection, queue
from chassis.messaging.brokers.rabbitmq.broker import RabbitBroker
from chassis.messaging.brokers.rabbitmq.connection import CALL_S_MAX, exchange_and_address
from chassis.messaging.brokers.rabbitmq.queue import WARD_TRIES_MAX
from chassis.messaging.brokers.rabbitmq.topology import DELIVERY_LIMIT

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
NewBroker = Callable[[], Awaitable[RabbitBroker]]


def _messages(*bodies: str, type_: str = "order.placed") -> list[Message]:
    return [Message(id=str(uuid4()), type=type_, body=body.encode()) for body in bodies]


async def _insist(attempt: Callable[[], Awaitable[None]]) -> None:
    """As the relay and the consumer do."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await attempt()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _take(subscription: Subscription, count: int, *, acknowledge: bool = True) -> list[Delivery]:
    taken: list[Delivery] = []

    async def fetch() -> None:
        while len(taken) < count:
            deliveries = await subscription.fetch(256, 0.5)
            taken.extend(deliveries)
            for delivery in deliveries if acknowledge else []:
                await delivery.acknowledge()

    await _insist(fetch)
    return taken


async def _events_flow(broker: RabbitBroker, subscription: Subscription) -> None:
    """What is said is heard, maybe after some of what was said before."""
    await _insist(lambda: broker.publish(_messages("sure")))
    taken: list[str] = []
    while "sure" not in taken:
        taken += _bodies(await _take(subscription, 1))


def _bodies(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]


@pytest.mark.parametrize(
    ("url", "exchange", "address"),
    [
        ("amqp://me:it@host:5672/shop", "shop", "amqp://me:it@host:5672/%2F?heartbeat=6"),
        ("amqp://me:it@host/", "cartwright", "amqp://me:it@host/%2F?heartbeat=6"),
        ("amqps://me:a%2Fb@host/shop?vhost=team/a", "shop", "amqps://me:a%2Fb@host/team%2Fa?heartbeat=6"),
        (
            "amqps://host/shop?cafile=/ca.pem&heartbeat=30",
            "shop",
            "amqps://host/%2F?cafile=%2Fca.pem&heartbeat=30",
        ),
    ],
)
def test_the_path_names_the_exchange_and_the_query_the_virtual_host(url: str, exchange: str, address: str) -> None:
    assert exchange_and_address(url) == (exchange, address)


async def test_a_broker_stops_at_whatever_moment_of_its_start(rabbit: RabbitServer, exchange: str) -> None:
    # Cancelled within the client of RabbitMQ, a task may go on as if nothing were.
    for milliseconds in range(0, 120, 3):
        broker = broker_for(rabbit.url(exchange), "test")
        await broker.start()
        await asyncio.sleep(milliseconds / 1000)
        async with asyncio.timeout(4):
            await broker.stop()
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("connect to the broker")]
    assert not left


async def test_what_ends_its_taker_again_and_again_is_set_apart_and_then_given_up(new_broker: NewBroker) -> None:
    publisher = await new_broker()
    await publisher.subscribe("group", ["*"])
    await publisher.stop()
    await (await new_broker()).publish(_messages("innocent 1", "killer", "innocent 2"))
    survived: list[str] = []
    deaths, given_up = 0, False
    while not given_up:
        taker = await new_broker()
        subscription = await taker.subscribe("group", ["*"])
        while True:
            batch = await subscription.fetch(256, 1.0)
            given_up = any(delivery.given_up for delivery in batch)
            if given_up or "killer" in _bodies(batch):
                break
            survived += _bodies(batch)
            for delivery in batch:
                await delivery.acknowledge()
        if not given_up:
            deaths += 1
            await taker.stop()  # As a process that dies, with all in hand.
            assert deaths < 50
    assert _bodies(batch) == ["killer"]
    assert deaths == DELIVERY_LIMIT + 1 + WARD_TRIES_MAX
    assert batch[0].attempt == deaths + 1
    await batch[0].acknowledge()
    survived += _bodies(await _take(subscription, 1))
    assert sorted(survived) == ["innocent 1", "innocent 2"]
    await taker.stop()
    again = await (await new_broker()).subscribe("group", ["*"])
    assert await again.fetch(256, 0.5) == []


async def test_what_is_handed_back_for_long_goes_to_the_end_of_the_queue_and_keeps_its_count(
    new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await (await new_broker()).subscribe("group", ["*"])
    publisher = await new_broker()
    await publisher.publish(_messages("held"))
    (held,) = await _take(subscription, 1, acknowledge=False)
    await held.return_later(0.0)
    (held,) = await _take(subscription, 1, acknowledge=False)
    monkeypatch.setattr(queue, "HOLD_S_MAX", -1.0)
    await held.return_later(0.0)
    monkeypatch.undo()
    (held,) = await _take(subscription, 1, acknowledge=False)
    assert (held.body, held.attempt) == (b"held", 3)
    await held.acknowledge()
    assert await subscription.fetch(256, 0.3) == []


async def test_a_connection_that_breaks_does_not_forget_how_often_something_was_handed_back(
    new_broker: NewBroker,
) -> None:
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    await broker.publish(_messages("a"))
    for _ in range(3):
        (delivery,) = await _take(subscription, 1, acknowledge=False)
        await delivery.return_later(0.0)
    await broker._incoming.connection.close()
    (delivery,) = await _take(subscription, 1, acknowledge=False)
    assert delivery.attempt == 5, "three times handed back, and lost once"


async def test_who_answers_what_came_by_a_broken_connection_is_told(new_broker: NewBroker) -> None:
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    await broker.publish(_messages("a"))
    (delivery,) = await _take(subscription, 1, acknowledge=False)
    await broker._incoming.connection.close()
    (again,) = await _take(subscription, 1, acknowledge=False)
    with pytest.raises(BrokerUnavailable):
        await delivery.acknowledge()
    with pytest.raises(BrokerUnavailable):
        await delivery.return_later(0.0)
    await again.acknowledge()


async def test_a_deleted_queue_is_made_again_and_gets_the_history(
    new_broker: NewBroker, operator: aio_pika.abc.AbstractChannel, exchange: str
) -> None:
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["order.*"])
    await broker.publish(_messages("a", "b"))
    await broker.publish(_messages("of no concern", type_="user.updated"))
    assert _bodies(await _take(subscription, 2)) == ["a", "b"]
    await operator.queue_delete(f"{exchange}.group")
    await broker.publish(_messages("c"))
    assert _bodies(await _take(subscription, 3)) == ["a", "b", "c"]


async def test_a_deleted_exchange_and_its_history_are_made_again(
    new_broker: NewBroker, operator: aio_pika.abc.AbstractChannel, exchange: str
) -> None:
    broker = await new_broker()
    await operator.exchange_delete(exchange)
    await operator.queue_delete(exchange)
    await _insist(lambda: broker.publish(_messages("a")))
    subscription = await broker.subscribe("group", ["*"])
    assert _bodies(await _take(subscription, 1)) == ["a"]


async def test_what_an_earlier_version_listened_to_is_nobodys_concern(
    new_broker: NewBroker, eventually: Eventually
) -> None:
    broker = await new_broker()
    await broker.subscribe("group", ["order.*", "user.*"])
    await broker.stop()
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["order.*"])
    await broker.publish(_messages("old", type_="user.updated"))
    await broker.publish(_messages("new"))
    assert _bodies(await _take(subscription, 1)) == ["new"]

    async def is_empty() -> bool:
        return await subscription.pending() == 0

    await eventually(is_empty, "the other is acknowledged")


async def test_queues_that_an_operator_made_otherwise_are_used_as_they_are(
    new_broker: NewBroker, operator: aio_pika.abc.AbstractChannel, exchange: str
) -> None:
    await operator.declare_queue(
        f"{exchange}.group", durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 10}
    )
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    await broker.publish(_messages("a"))
    assert _bodies(await _take(subscription, 1)) == ["a"]


async def test_a_server_that_hangs_is_noticed_and_one_that_goes_on_is_used(
    new_broker: NewBroker, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", 1)
    monkeypatch.setattr("chassis.messaging.brokers.rabbitmq.broker.PUBLISH_S_MAX", 1.0)
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    os.kill(rabbit.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BrokerUnavailable):
            await broker.publish(_messages("lost or not"))
        began_at = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await _fetch_for_ever(subscription)
        assert time.monotonic() - began_at < 15
    finally:
        os.kill(rabbit.pid, signal.SIGCONT)
    await _events_flow(broker, subscription)


@pytest.mark.parametrize("asked", ["publish", "pending", "subscribe", "fetch"])
async def test_a_silence_that_the_client_ends_by_cancelling_itself_is_an_outage_like_any_other(
    asked: str, new_broker: NewBroker, rabbit: RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else it would be after 21 s, and who asked before has lost patience by then.
    monkeypatch.setattr(connection, "HEARTBEAT_S", 1)
    monkeypatch.setattr("aiormq.connection.Connection.HEARTBEAT_GRACE_MULTIPLIER", 0.75)
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "publish": lambda: broker.publish(_messages("lost or not")),
        "pending": subscription.pending,
        "subscribe": lambda: broker.subscribe("another", ["*"]),
        "fetch": lambda: _fetch_for_ever(subscription),
    }
    os.kill(rabbit.pid, signal.SIGSTOP)
    try:
        began_at = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await ways[asked]()
        assert time.monotonic() - began_at < CALL_S_MAX, "no limit of ours was needed"
    finally:
        os.kill(rabbit.pid, signal.SIGCONT)
    await _events_flow(broker, subscription)


@pytest.mark.parametrize("thrown", [asyncio.CancelledError(), Exception(), TimeoutError()])
async def test_whatever_the_client_throws_at_the_end_of_a_connection_is_a_fault(thrown: BaseException) -> None:
    with pytest.raises(connection.FAULTS):
        async with connection.limited(1.0):
            raise thrown


async def test_who_is_cancelled_while_the_server_is_asked_is_cancelled() -> None:
    async def ask() -> None:
        async with connection.limited(60.0):
            await asyncio.Event().wait()

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_connection_that_is_given_up_is_replaced_by_one_and_no_more(new_broker: NewBroker) -> None:
    broker = await new_broker()
    with capture_logs() as logs:
        for _ in range(10):
            broker._outgoing.drop("the test wants it")
            await _insist(lambda: broker.publish(_messages("a")))
    assert [log["event"] for log in logs].count("connected to the broker") == 10


async def _fetch_for_ever(subscription: Subscription) -> None:
    while True:
        await subscription.fetch(256, 0.5)


async def test_two_thousand_acknowledgements_travel_as_a_few(
    new_broker: NewBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await new_broker()
    subscription = await broker.subscribe("group", ["*"])
    sent: list[int] = []
    basic_ack = aio_pika.connection.aiormq.channel.Channel.basic_ack

    async def count(self: object, tag: int, **how: bool) -> None:
        sent.append(tag)
        await basic_ack(self, tag, **how)

    monkeypatch.setattr("aiormq.channel.Channel.basic_ack", count)
    for _ in range(10):
        await broker.publish(_messages(*["x"] * 200))
    taken = 0
    async with asyncio.timeout(20):
        while taken < 2_000:
            await asyncio.sleep(0.02)  # As a consumer, which gathers what trickles in.
            deliveries = await subscription.fetch(256, 0.5)
            taken += len(deliveries)
            for delivery in deliveries:
                await delivery.acknowledge()
    assert len(sent) < 100
