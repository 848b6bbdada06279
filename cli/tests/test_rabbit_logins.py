"""The same over RabbitMQ: a service's login publishes its own events and takes from its own queue, no more."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from cartwright.launcher import broker_logins, rabbitmq
from cartwright.launcher.broker_logins import FAMILIES, LOGINS, SAID_BY_ALL
from cartwright.launcher.layout import STREAM
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import RabbitServer, running_rabbit
from chassis.messaging.broker import Broker, BrokerUnavailable, Delivery, Message, Subscription
from chassis.messaging.brokers import broker_for
from chassis.messaging.brokers.rabbitmq import broker as rabbit_broker
from chassis.messaging.brokers.rabbitmq import topology
from chassis.messaging.brokers.rabbitmq.connection import exchange_and_address

Connect = Callable[[str], Awaitable[Broker]]


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[RabbitServer]:
    if rabbitmq.program() is None:
        pytest.skip(f"RabbitMQ is not installed: {rabbitmq.INSTALL}")
    with running_rabbit(reaper, LOGINS) as server:
        yield server


@pytest.fixture
async def connect(server: RabbitServer) -> AsyncIterator[Connect]:
    """`await connect("orders")` is the broker by the login of that service."""
    brokers: list[Broker] = []

    async def start(service: str) -> Broker:
        broker = broker_for(server.url_of(service), service)
        brokers.append(broker)
        await broker.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    await broker.publish([])
                    return broker
                except BrokerUnavailable:
                    await asyncio.sleep(0.05)

    yield start
    for broker in brokers:
        await broker.stop()


@pytest.fixture
async def intruder(server: RabbitServer) -> AsyncIterator[AbstractChannel]:
    """The login of catalog, in the hands of a program that is not catalog's."""
    _, address = exchange_and_address(server.url_of("catalog"))
    connection = await aio_pika.connect(address)
    yield await connection.channel()
    await connection.close()


def message(type_: str) -> Message:
    return Message(str(uuid4()), type_, b"event")


async def subscribe(broker: Broker, group: str, types: list[str]) -> Subscription:
    async with asyncio.timeout(30):
        while True:
            try:
                return await broker.subscribe(group, types)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def take(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(30):
        while not (deliveries := await subscription.fetch(1, 0.2)):
            pass
    return deliveries[0]


@pytest.mark.parametrize("service", LOGINS)
async def test_a_service_publishes_its_own_events_and_takes_from_its_own_queue(service: str, connect: Connect) -> None:
    broker = await connect(service)
    types = [*(f"{family}.of_the_{family}" for family in FAMILIES[service]), SAID_BY_ALL]
    # In the history first, so that the new queue is filled from it.
    sent = [message(type_) for type_ in types]
    await broker.publish(sent)
    subscription = await subscribe(broker, service, types)
    await broker.publish([message(type_) for type_ in types])
    for number in range(2 * len(types)):
        delivery = await take(subscription)
        if number == 0:
            await delivery.return_later(0.05)
            delivery = await take(subscription)
        assert delivery.body == b"event"
        await delivery.acknowledge()


@pytest.mark.parametrize("type_", ["order.cancelled", "user.updated", "order.cancelled.product.x", "mark.payments"])
async def test_a_service_cannot_publish_the_events_of_another(
    type_: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_broker, "PUBLISH_S_MAX", 2.0)
    catalog, audit = await connect("catalog"), await connect("audit")
    heard = await subscribe(audit, "audit", ["*"])
    with pytest.raises(BrokerUnavailable):
        await catalog.publish([message(type_)])
    marker = Message(str(uuid4()), "product.updated", b"after")
    async with asyncio.timeout(30):
        while True:
            try:
                # Nothing is lost of what it may publish.
                await catalog.publish([marker])
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
    bodies: list[bytes] = []
    while b"after" not in bodies:
        delivery = await take(heard)
        assert getattr(delivery, "type", None) != type_
        bodies.append(delivery.body)
        await delivery.acknowledge()


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    target = channel.default_exchange if not exchange else await channel.get_exchange(exchange, ensure=False)
    await target.publish(aio_pika.Message(b"forged", type="order.cancelled"), key)


async def consume(channel: AbstractChannel, queue: str) -> None:
    async def ignore(_: AbstractIncomingMessage) -> None:
        """Nothing should come."""

    await (await channel.get_queue(queue, ensure=False)).consume(ignore, timeout=5)


async def bind(channel: AbstractChannel, queue: str, exchange: str, key: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, key, timeout=5)


ABUSES: dict[str, Callable[[AbstractChannel], Awaitable[object]]] = {
    "to put a message into the queue of payments": lambda c: publish(c, "", f"{STREAM}.payments"),
    "to put a message into the history": lambda c: publish(c, "", STREAM),
    "to use the exchange of payments": lambda c: publish(c, f"{STREAM}.payments", "payments"),
    "to take from the queue of payments": lambda c: consume(c, f"{STREAM}.payments"),
    "to take from the ward of payments": lambda c: consume(c, f"{STREAM}.payments.dead"),
    "to delete the queue of payments": lambda c: c.queue_delete(f"{STREAM}.payments"),
    "to delete the history": lambda c: c.queue_delete(STREAM),
    "to delete the exchange": lambda c: c.exchange_delete(STREAM),
    "to have payments hear its own events": lambda c: bind(c, f"{STREAM}.payments", STREAM, "product.updated"),
    "to make a queue of another name": lambda c: c.declare_queue("mine", durable=True),
}


@pytest.mark.parametrize("abuse", ABUSES)
async def test_a_login_does_not_serve(abuse: str, intruder: AbstractChannel, connect: Connect) -> None:
    payments = await connect("payments")
    subscription = await subscribe(payments, "payments", ["order.cancelled"])
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await ABUSES[abuse](intruder)
    orders = await connect("orders")
    await orders.publish([message("order.cancelled")])
    delivery = await take(subscription)
    assert delivery.body == b"event"
    await delivery.acknowledge()


def test_the_history_is_that_which_a_service_would_make() -> None:
    assert broker_logins.HISTORY_ARGUMENTS == topology.HISTORY_ARGUMENTS


def test_the_logins_differ(server: RabbitServer) -> None:
    urls = [server.url_of(service) for service in LOGINS]
    assert all(one != other for one, other in itertools.combinations(urls, 2))
