"""Each service has a login to the broker by which it publishes its own events and takes from its own queue, no more."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from cartwright.launcher.broker_logins import FAMILIES, LOGINS, SAID_BY_ALL
from cartwright.launcher.layout import STREAM
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import NatsServer, running_nats
from chassis.messaging.broker import Broker, BrokerUnavailable, Delivery, Message, Subscription
from chassis.messaging.brokers import broker_for, nats
from chassis.messaging.brokers.nats import NatsBroker

EVENTS = Path(__file__).parents[2] / "contracts" / "events"
Connect = Callable[[str], Awaitable[Broker]]


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[NatsServer]:
    with running_nats(reaper, LOGINS) as server:
        yield server


@pytest.fixture
async def connect(server: NatsServer, operator: Client) -> AsyncIterator[Connect]:
    """`await connect("orders")` is the broker by the login of that service. There is no stream at first."""
    with contextlib.suppress(NotFoundError):
        await operator.jetstream().delete_stream(STREAM)
    brokers: list[Broker] = []

    async def start(service: str) -> Broker:
        broker = broker_for(server.url_of(service), service)
        brokers.append(broker)
        await broker.start()
        async with asyncio.timeout(20):
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
async def intruder(server: NatsServer) -> AsyncIterator[Client]:
    """The login of catalog, in the hands of a program that is not catalog's."""

    async def ignore(_: Exception) -> None:
        """What is refused is told here; the caller's time runs out."""

    address = server.url_of("catalog").removesuffix(f"/{STREAM}")
    client = await nats_client.connect(address, inbox_prefix="_INBOX.catalog", error_cb=ignore)
    yield client
    await client.close()


@pytest.fixture
async def operator(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats_client.connect(server.url(STREAM).removesuffix(f"/{STREAM}"))
    yield client
    await client.close()


def message(type_: str) -> Message:
    return Message(str(uuid4()), type_, b"event")


async def take(subscription: Subscription) -> Delivery:
    async with asyncio.timeout(20):
        while not (deliveries := await subscription.fetch(1, 0.2)):
            pass
    return deliveries[0]


def test_the_table_of_families_is_that_of_the_contracts() -> None:
    producers: dict[str, set[str]] = {service: set() for service in FAMILIES}
    for path in EVENTS.glob("*.json"):
        producer = json.loads(path.read_text())["producer"]
        if producer == "chassis":
            assert path.stem == SAID_BY_ALL
        else:
            producers[producer].add(path.stem.partition(".")[0])
    assert {service: set(families) for service, families in FAMILIES.items()} == producers


@pytest.mark.parametrize("service", LOGINS)
async def test_a_service_publishes_its_own_events_and_takes_from_its_own_queue(service: str, connect: Connect) -> None:
    broker = await connect(service)
    types = [*(f"{family}.tested" for family in FAMILIES[service]), SAID_BY_ALL]
    subscription = await broker.subscribe(service, types)
    await broker.publish([message(type_) for type_ in types])
    for number, _ in enumerate(types):
        delivery = await take(subscription)
        if number == 0:
            await delivery.return_later(0.05)
            delivery = await take(subscription)
        await delivery.acknowledge()
    async with asyncio.timeout(20):
        while await subscription.pending():
            await asyncio.sleep(0.05)
    if service != "audit":
        audit = await connect("audit")
        heard = await audit.subscribe("audit", ["*"])
        for _ in types:
            await (await take(heard)).acknowledge()


@pytest.mark.parametrize("type_", ["order.cancelled", "user.updated", "payment.captured", "order.cancelled.product.x"])
async def test_a_service_cannot_publish_the_events_of_another(
    type_: str, connect: Connect, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats, "PUBLISH_S_MAX", 1.0)
    catalog = await connect("catalog")
    before = (await operator.jetstream().stream_info(STREAM)).state.last_seq
    with pytest.raises(BrokerUnavailable):
        await catalog.publish([message(type_)])
    assert (await operator.jetstream().stream_info(STREAM)).state.last_seq == before
    # Nothing is lost of what it may publish.
    await catalog.publish([message("product.updated")])


ABUSES: dict[str, tuple[str, dict[str, Any]]] = {
    "to take what is meant for payments": (f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.payments", {"batch": 1}),
    "to acknowledge what is meant for payments": (f"$JS.ACK.{STREAM}.payments.1.1.1.1.1", {}),
    "to remove the consumer of payments": (f"$JS.API.CONSUMER.DELETE.{STREAM}.payments", {}),
    "to change the consumer of payments": (
        f"$JS.API.CONSUMER.CREATE.{STREAM}.payments",
        {"stream_name": STREAM, "config": {"durable_name": "payments", "filter_subject": f"{STREAM}.none"}},
    ),
    "to read a message by its number": (f"$JS.API.STREAM.MSG.GET.{STREAM}", {"seq": 1}),
    "to read a message directly": (f"$JS.API.DIRECT.GET.{STREAM}", {"seq": 1}),
    "to delete a message": (f"$JS.API.STREAM.MSG.DELETE.{STREAM}", {"seq": 1}),
    "to delete the stream": (f"$JS.API.STREAM.DELETE.{STREAM}", {}),
    "to change the stream": (
        f"$JS.API.STREAM.UPDATE.{STREAM}",
        {"name": STREAM, "subjects": [f"{STREAM}.>"], "max_msgs": 1},
    ),
    "to fill another stream from this one": (
        "$JS.API.STREAM.CREATE.mine",
        {"name": "mine", "sources": [{"name": STREAM}]},
    ),
    "to set the stream back": (f"$JS.API.STREAM.RESTORE.{STREAM}", {}),
}


@pytest.mark.parametrize("abuse", ABUSES)
async def test_a_login_does_not_serve(abuse: str, intruder: Client, connect: Connect) -> None:
    payments = await connect("payments")
    subscription = await payments.subscribe("payments", ["order.cancelled"])
    orders = await connect("orders")
    await orders.publish([message("order.cancelled")])
    subject, question = ABUSES[abuse]
    with pytest.raises(NatsError):
        await intruder.request(subject, msgspec.json.encode(question), timeout=0.5)
    delivery = await take(subscription)
    assert delivery.body == b"event"
    await delivery.acknowledge()


@pytest.mark.parametrize("subject", [f"{STREAM}.>", f"{STREAM}.order.cancelled", "_INBOX.payments.>", "_INBOX.>", ">"])
async def test_a_login_does_not_listen_past_its_queue(subject: str, intruder: Client, connect: Connect) -> None:
    heard = await intruder.subscribe(subject)
    orders = await connect("orders")
    await orders.publish([message("order.cancelled")])
    with pytest.raises(NatsError):
        await heard.next_msg(timeout=0.5)


async def test_a_consumer_that_delivers_to_a_subject_of_another_brings_no_event_there(
    intruder: Client, connect: Connect, operator: Client
) -> None:
    """The server itself publishes for a push consumer, past the permissions of who made it: signatures hold there."""
    catalog = await connect("catalog")
    await catalog.publish([message("product.updated")])
    question = {
        "stream_name": STREAM,
        "config": {
            "durable_name": "catalog",
            "deliver_subject": f"{STREAM}.order.cancelled",
            "filter_subject": f"{STREAM}.product.updated",
            "ack_policy": "explicit",
        },
    }
    answer = await intruder.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.catalog", msgspec.json.encode(question))
    # A subject of the stream would make a cycle.
    assert "error" in msgspec.json.decode(answer.data)


async def test_the_stream_is_made_again_by_whichever_service_comes_first(
    server: NatsServer, connect: Connect, operator: Client
) -> None:
    payments = await connect("payments")
    await operator.jetstream().delete_stream(STREAM)
    assert isinstance(payments, NatsBroker)
    async with asyncio.timeout(20):
        while True:
            try:
                await payments.publish([message("payment.captured")])
                break
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
    assert (await operator.jetstream().stream_info(STREAM)).state.messages == 1
