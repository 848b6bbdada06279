"""Over each broker: an event has an effect only if its owner has signed it. What is refused is seen, and ends there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.messaging.broker import Broker, BrokerUnavailable, Message, Subscription
from chassis.messaging.brokers import broker_for
from chassis.messaging.envelope import Envelope, encode_batch
from chassis.messaging.signed_broker import SignedBroker, Signer, signed_broker

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
SignAs = Callable[..., Message]
OWNERS = {"order": "orders"}


@pytest.fixture
async def payments(url: str, service_keys: dict[str, str], service_jwks: str) -> AsyncIterator[SignedBroker]:
    broker = signed_broker(url, "payments", key=service_keys["payments"], keys=service_jwks, owners=OWNERS)
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def intruder(url: str) -> AsyncIterator[Broker]:
    """A login to the broker that may publish anything."""
    broker = broker_for(url, "intruder")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def sign_as(service_keys: dict[str, str]) -> SignAs:
    def sign(service: str, *events: Envelope, subject: str | None = None) -> Message:
        body = encode_batch(events)
        return Message(str(uuid4()), subject or events[0].type, body, Signer(service, service_keys[service]).sign(body))

    return sign


async def publish(broker: Broker, *messages: Message) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await broker.publish(messages)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def subscribe(broker: Broker, group: str = "payments") -> Subscription:
    async with asyncio.timeout(20):
        while True:
            try:
                return await broker.subscribe(group, ["order.confirmed", "order.cancelled"])
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def bodies_in(subscription: Subscription, count: int = 1) -> list[bytes]:
    """What is handed out until so many messages have come."""
    bodies: list[bytes] = []
    async with asyncio.timeout(20):
        while len(bodies) < count:
            for delivery in await subscription.fetch(10, 0.1):
                bodies.append(delivery.body)
                await delivery.acknowledge()
    return bodies


def refused(reason: str) -> float:
    labels = {"group": "payments", "reason": reason}
    return REGISTRY.get_sample_value("cartwright_messages_refused_total", labels) or 0.0


FORGERIES: dict[str, tuple[str, Callable[[Envelope, SignAs], Message]]] = {
    "nobody has signed it": ("unsigned", lambda event, _: Message(str(uuid4()), event.type, encode_batch([event]))),
    "it is signed as another service, in its own name": (
        "not the owner",
        lambda event, sign_as: sign_as("catalog", msgspec.structs.replace(event, source="/catalog")),
    ),
    "it is signed by another service, in the owner's name": (
        "not the owner",
        lambda event, sign_as: sign_as("catalog", event),
    ),
    "one in the batch is of another": (
        "not the owner",
        lambda event, sign_as: sign_as("orders", event, msgspec.structs.replace(event, source="/catalog")),
    ),
    "it was changed on the way": (
        "bad signature",
        lambda event, sign_as: msgspec.structs.replace(sign_as("orders", event), body=encode_batch([event, event])),
    ),
    "the signature is claimed for the owner": (
        "bad signature",
        lambda event, sign_as: msgspec.structs.replace(
            signed := sign_as("catalog", event), signature=signed.signature.replace("catalog:", "orders:")
        ),
    ),
    "the key is not known": (
        "bad signature",
        lambda event, sign_as: msgspec.structs.replace(sign_as("orders", event), signature="mallory:AAAA"),
    ),
    "the signature is no base64": (
        "bad signature",
        lambda event, sign_as: msgspec.structs.replace(sign_as("orders", event), signature="orders:?"),
    ),
    "it is right, and comes under another type": (
        "another type",
        lambda event, sign_as: sign_as(
            "orders", msgspec.structs.replace(event, type="order.placed"), subject="order.cancelled"
        ),
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_event_has_no_effect_is_counted_and_does_not_come_again(
    forgery: str,
    payments: SignedBroker,
    intruder: Broker,
    sign_as: SignAs,
    make_event: Callable[..., Envelope],
    eventually: Eventually,
) -> None:
    reason, forge = FORGERIES[forgery]
    event = make_event("order.cancelled")
    before = refused(reason)
    subscription = await subscribe(payments)
    with capture_logs() as lines:
        await publish(intruder, forge(event, sign_as), sign_as("orders", event))
        # The genuine event has the same id, and comes after: a forgery does not take its place.
        assert await bodies_in(subscription) == [encode_batch([event])]
    assert refused(reason) == before + 1
    (line,) = [line for line in lines if line["event"].startswith("messages were refused")]
    assert (line["group"], line["reasons"]) == ("payments", {reason: 1})

    async def nothing_waits() -> bool:
        return await subscription.pending() == 0

    await eventually(nothing_waits, "nothing waits any more")
    assert list(await subscription.fetch(10, 0.2)) == []


async def test_a_flood_of_forged_events_is_no_flood_of_lines(
    payments: SignedBroker, intruder: Broker, sign_as: SignAs, make_event: Callable[..., Envelope]
) -> None:
    subscription = await subscribe(payments)
    event = make_event("order.cancelled")
    forged = [Message(str(uuid4()), event.type, encode_batch([event])) for _ in range(50)]
    with capture_logs() as lines:
        await publish(intruder, *forged, sign_as("orders", event))
        await bodies_in(subscription)
    assert len([line for line in lines if line["event"].startswith("messages were refused")]) == 1


async def test_what_a_service_publishes_is_accepted_also_by_a_group_that_comes_late(
    url: str,
    payments: SignedBroker,
    intruder: Broker,
    service_keys: dict[str, str],
    service_jwks: str,
    sign_as: SignAs,
    make_event: Callable[..., Envelope],
) -> None:
    orders = signed_broker(url, "orders", key=service_keys["orders"], keys=service_jwks, owners={})
    await orders.start()
    genuine, forged = make_event("order.cancelled"), make_event("order.cancelled")
    await publish(intruder, sign_as("catalog", forged))
    await publish(orders, Message("m", "order.cancelled", encode_batch([genuine])))
    # On RabbitMQ the history is copied, by the service itself.
    assert await bodies_in(await subscribe(payments, "late")) == [encode_batch([genuine])]
    await orders.stop()


async def test_a_deferred_message_is_still_signed(
    payments: SignedBroker, intruder: Broker, sign_as: SignAs, make_event: Callable[..., Envelope]
) -> None:
    subscription = await subscribe(payments)
    event = make_event("order.cancelled")
    await publish(intruder, sign_as("orders", event))
    async with asyncio.timeout(20):
        while not (deliveries := await subscription.fetch(10, 0.1)):
            pass
    await deliveries[0].return_later(0.1)
    assert await bodies_in(subscription) == [encode_batch([event])]


async def test_what_all_services_say_is_accepted_under_their_own_names_alone(
    url: str, intruder: Broker, sign_as: SignAs, make_event: Callable[..., Envelope], service_jwks: str,
    service_keys: dict[str, str],
) -> None:  # fmt: skip
    audit = signed_broker(url, "audit", key=service_keys["audit"], keys=service_jwks, owners=OWNERS)
    await audit.start()
    async with asyncio.timeout(20):
        while True:
            try:
                subscription = await audit.subscribe("audit", ["*"])
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
    own = make_event("operator.acted", source="/catalog")
    of_another = make_event("operator.acted", source="/orders")
    of_no_owner = make_event("weather.changed", source="/catalog")
    await publish(intruder, sign_as("catalog", of_another), sign_as("catalog", of_no_owner), sign_as("catalog", own))
    assert await bodies_in(subscription) == [encode_batch([own])]
    await audit.stop()
