"""What is NATS's own: a client that ends itself for good when the server refuses what it said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from cartwright.testkit.servers import NatsServer
from chassis.messaging.broker import Broker, BrokerUnavailable, Message, Subscription
from chassis.messaging.brokers import broker_for, nats

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


@pytest.fixture
async def broker(running_server: Callable[[str], object]) -> AsyncIterator[Broker]:
    server = running_server("nats")
    assert isinstance(server, NatsServer)
    broker = broker_for(server.url(f"test-{uuid4().hex[:12]}"), "test")
    await broker.start()
    yield broker
    await broker.stop()


async def test_a_client_that_the_server_has_dismissed_is_replaced(
    broker: Broker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "PUBLISH_S_MAX", 2.0)
    await eventually(lambda: _is_confirmed(broker, _message("before")), "it is connected")
    subscription = await broker.subscribe("group", ["*"])
    # Longer than any line may be, to which the server answers `-ERR`, and hangs up.
    publishing = asyncio.create_task(broker.publish([_message("refused", type_="x" * 10_000)]))
    await eventually(lambda: _is_refused(broker), "the client has ended")
    await eventually(lambda: _is_confirmed(broker, _message("after")), "another client publishes")
    taken: list[bytes] = []
    await eventually(lambda: _has_taken(subscription, taken, b"after"), "another client takes")
    assert set(taken) == {b"before", b"after"}
    with pytest.raises(BrokerUnavailable):
        await publishing


def _message(body: str, type_: str = "order.placed") -> Message:
    return Message(id=str(uuid4()), type=type_, body=body.encode())


async def _is_confirmed(broker: Broker, message: Message) -> bool:
    try:
        await broker.publish([message])
    except BrokerUnavailable:
        return False
    return True


async def _is_refused(broker: Broker) -> bool:
    return not await _is_confirmed(broker, _message("before"))


async def _has_taken(subscription: Subscription, taken: list[bytes], expected: bytes) -> bool:
    try:
        deliveries = await subscription.fetch(16, 0.2)
        for delivery in deliveries:
            await delivery.acknowledge()
    except BrokerUnavailable:
        return False
    taken += [delivery.body for delivery in deliveries]
    return expected in taken
