"""What every broker has to do for us, tried on each that there is: the conformance suite.

A further broker joins by a server in `SERVERS` of the conftest and its line in each table here; nothing else names one.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import ModuleType
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from cartwright.testkit.proxy import Proxy
from cartwright.testkit.servers import NatsServer, RabbitServer, free_port
from chassis.messaging.broker import Broker, BrokerUnavailable, Delivery, Message, Subscription
from chassis.messaging.brokers import broker_for, nats
from chassis.messaging.brokers.rabbitmq import broker, connection, queue, topology

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
Server = NatsServer | RabbitServer
"""A real broker, to kill and to start again on the same address. Each test leaves it running."""
Way = tuple[Proxy, str]

ACK_WAITS = {NatsServer: (nats, "ACK_WAIT_S"), RabbitServer: (queue, "ACK_WAIT_S")}
IMPATIENCE: dict[type[Server], list[tuple[ModuleType, str, float]]] = {
    NatsServer: [
        (nats, "PING_INTERVAL_S", 0.2),
        (nats, "AWAY_S_MAX", 0.5),
        (nats, "PUBLISH_S_MAX", 1.0),
    ],
    RabbitServer: [(connection, "HEARTBEAT_S", 1), (broker, "PUBLISH_S_MAX", 1.0)],
}
BOUNDS = {NatsServer: (nats, "STREAM_BYTES_MAX"), RabbitServer: (topology, "QUEUE_BYTES_MAX")}


@pytest.fixture
def short_ack_wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*ACK_WAITS[type(server)], 0.5)


@pytest.fixture
async def other_replica(url: str) -> AsyncIterator[Broker]:
    broker = broker_for(url, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def impatient_broker(way: Way, server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Broker]:
    """One that is quick to give up a server that does not answer."""
    for limit in IMPATIENCE[type(server)]:
        monkeypatch.setattr(*limit)
    broker = broker_for(way[1], "test")
    await broker.start()
    yield broker
    await broker.stop()


def _messages(*bodies: str, type_: str = "order.placed") -> list[Message]:
    return [Message(id=str(uuid4()), type=type_, body=body.encode()) for body in bodies]


async def _publish(broker: Broker, messages: Sequence[Message]) -> None:
    """As the relay does: again and again until it is confirmed."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await broker.publish(messages)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _subscribe(broker: Broker, group: str = "group", *types: str) -> Subscription:
    async with asyncio.timeout(10):
        while True:
            try:
                return await broker.subscribe(group, types or ["*"])
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _take(
    subscription: Subscription, count: int, acknowledge: bool = True, seconds_max: float = 20
) -> list[Delivery]:
    """As the consumer does: until `count` deliveries are there."""
    taken: list[Delivery] = []
    async with asyncio.timeout(seconds_max):
        while len(taken) < count:
            try:
                deliveries = await subscription.fetch(256, 0.5)
                for delivery in deliveries:
                    if acknowledge:
                        await delivery.acknowledge()
                taken += deliveries
            except BrokerUnavailable:
                await asyncio.sleep(0.05)
    return taken


async def _until_silent(subscription: Subscription) -> list[Delivery]:
    """All that comes until nothing has come for a second."""
    taken: list[Delivery] = []
    async with asyncio.timeout(20):
        while deliveries := await subscription.fetch(256, 1.0):
            for delivery in deliveries:
                await delivery.acknowledge()
            taken += deliveries
    return taken


def _bodies(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.body.decode() for delivery in deliveries]


async def test_what_is_published_is_delivered_in_order(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    expected = [str(number) for number in range(600)]
    await _publish(broker, _messages(*expected[:300]))
    await _publish(broker, _messages(*expected[300:]))
    deliveries = await _take(subscription, 600)
    assert _bodies(deliveries) == expected
    assert {delivery.attempt for delivery in deliveries} == {1}


async def test_a_group_gets_what_was_published_before_it_came(broker: Broker) -> None:
    await _publish(broker, _messages("early"))
    await _publish(broker, _messages("of no concern", type_="user.updated"))
    subscription = await _subscribe(broker, "group", "order.*")
    await _publish(broker, _messages("late"))
    assert _bodies(await _take(subscription, 2)) == ["early", "late"]


async def test_a_group_that_has_its_queue_gets_nothing_of_the_past_twice(
    broker: Broker, other_replica: Broker, server: Server, eventually: Eventually
) -> None:
    await _publish(broker, _messages("early"))
    subscription = await _subscribe(broker)
    assert _bodies(await _take(subscription, 1)) == ["early"]
    await eventually(lambda: _nothing_is_pending(subscription), "the acknowledgement arrived")
    await broker.stop()
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    subscription = await _subscribe(other_replica)
    await _publish(other_replica, _messages("late"))
    assert _bodies(await _until_silent(subscription)) == ["late"]


async def test_a_single_message_is_delivered_at_once(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    fetching = asyncio.create_task(subscription.fetch(256, 5.0))
    await asyncio.sleep(0.1)
    began_at = time.monotonic()
    await _publish(broker, _messages("one"))
    assert _bodies(await fetching) == ["one"]
    assert time.monotonic() - began_at < 1


async def test_a_fetch_without_messages_ends_in_time(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    began_at = time.monotonic()
    assert await subscription.fetch(256, 0.2) == []
    assert time.monotonic() - began_at < 1


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["order.placed"], ["placed"]),
        (["order.*"], ["placed", "shipped"]),
        (["order.shipped", "user.*"], ["shipped", "updated"]),
        (["*"], ["placed", "shipped", "updated"]),
    ],
)
async def test_a_group_gets_the_types_that_it_asked_for(broker: Broker, types: list[str], expected: list[str]) -> None:
    subscription = await _subscribe(broker, "group", *types)
    await _publish(broker, _messages("placed", type_="order.placed"))
    await _publish(broker, _messages("shipped", type_="order.shipped"))
    await _publish(broker, _messages("updated", type_="user.updated"))
    assert _bodies(await _take(subscription, len(expected))) == expected
    assert await subscription.fetch(256, 0.2) == []


async def test_a_type_without_a_consumer_is_confirmed_all_the_same(broker: Broker) -> None:
    await _publish(broker, _messages("lonely", type_="nobody.listens"))


async def test_what_is_said_of_one_thing_arrives_in_its_order_whatever_is_said_of_others(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    types = ["order.placed", "order.confirmed", "order.shipped"]
    for number in range(40):
        await _publish(
            broker,
            [
                Message(id=str(uuid4()), type=types[number % 3], body=f"{thing}:{number}".encode())
                for thing in range(10)
            ],
        )
    told: dict[str, list[int]] = defaultdict(list)
    for body in _bodies(await _take(subscription, 400)):
        thing, _, number = body.partition(":")
        told[thing].append(int(number))
    assert list(told.values()) == [list(range(40))] * 10


async def test_each_group_gets_everything(broker: Broker) -> None:
    first, second = await _subscribe(broker, "first"), await _subscribe(broker, "second")
    await _publish(broker, _messages("a", "b"))
    assert _bodies(await _take(first, 2)) == _bodies(await _take(second, 2)) == ["a", "b"]


async def test_replicas_share_the_messages_of_their_group(broker: Broker, other_replica: Broker) -> None:
    expected = sorted(str(number) for number in range(100))
    replicas = [await _subscribe(broker), await _subscribe(other_replica)]
    taken: list[list[str]] = [[], []]

    async def work(number: int) -> None:
        while sum(map(len, taken)) < 100:
            for delivery in await replicas[number].fetch(10, 0.2):
                taken[number].append(delivery.body.decode())
                await delivery.acknowledge()

    await _publish(broker, _messages(*expected))
    async with asyncio.timeout(20):
        await asyncio.gather(work(0), work(1))
    assert sorted(taken[0] + taken[1]) == expected
    assert all(taken)


async def test_what_was_acknowledged_does_not_come_again(broker: Broker, eventually: Eventually) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("a"))
    await _take(subscription, 1)
    await eventually(lambda: _nothing_is_pending(subscription), "the acknowledgement arrived")
    assert await (await _subscribe(broker)).fetch(256, 0.3) == []


async def test_what_was_handed_back_comes_again_after_its_delay(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("a", "b"))
    first, second = await _take(subscription, 2, acknowledge=False)
    await second.acknowledge()
    handed_back_at = time.monotonic()
    await first.return_later(0.4)
    again = (await _take(subscription, 1))[0]
    assert time.monotonic() - handed_back_at > 0.35
    assert (again.body, again.attempt) == (b"a", 2)


async def test_each_attempt_is_counted_and_what_is_handed_back_is_never_given_up(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("a"))
    for attempt in range(1, 31):
        (delivery,) = await _take(subscription, 1, acknowledge=False)
        assert (delivery.attempt, delivery.given_up) == (attempt, False)
        await delivery.return_later(0.0)
    await _take(subscription, 1)


@pytest.mark.usefixtures("short_ack_wait")
async def test_what_was_not_acknowledged_in_time_comes_again(broker: Broker) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("a", "b"))
    await _take(subscription, 2, acknowledge=False)
    again = await _take(subscription, 2)
    assert sorted((delivery.body, delivery.attempt) for delivery in again) == [(b"a", 2), (b"b", 2)]


@pytest.mark.usefixtures("short_ack_wait")
async def test_a_message_of_a_consumer_that_died_is_delivered_to_another(broker: Broker, other_replica: Broker) -> None:
    await _publish(broker, _messages("a", "b", "c", "d"))
    first, second, third, _ = await _take(await _subscribe(broker), 4, acknowledge=False)
    for delivery in (third, first):
        await delivery.acknowledge()
    assert (first.body, second.body, third.body) == (b"a", b"b", b"c")
    await broker.stop()
    again = await _take(await _subscribe(other_replica), 2)
    assert sorted((delivery.body, delivery.attempt) for delivery in again) == [(b"b", 2), (b"d", 2)]


async def test_what_waits_is_counted(broker: Broker, eventually: Eventually) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("a", "b", "c"))
    await eventually(lambda: _waiting(subscription, 3), "all three wait")
    await _take(subscription, 3)
    await eventually(lambda: _nothing_is_pending(subscription), "all is acknowledged")


async def test_a_server_that_restarts_in_the_midst_loses_nothing(broker: Broker, server: Server) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("before"))
    assert _bodies(await _take(subscription, 1)) == ["before"]
    await _publish(broker, _messages("kept"))
    await asyncio.to_thread(server.kill)
    with pytest.raises(BrokerUnavailable):
        await broker.publish(_messages("refused"))
    await asyncio.to_thread(server.start)
    await _publish(broker, _messages("after"))
    # "before" may come again, if its acknowledgement was on its way at the kill: that is what the inbox is for.
    taken: list[str] = []
    async with asyncio.timeout(20):
        while not {"kept", "after"} <= set(taken):
            taken += _bodies(await _take(subscription, 1))


async def test_a_server_that_lost_its_store_is_used_again(broker: Broker, server: Server) -> None:
    subscription = await _subscribe(broker)
    await _publish(broker, _messages("lost"))
    await asyncio.to_thread(server.kill)
    server.lose_store()
    await asyncio.to_thread(server.start)
    # As a relay whose cursor was set back, and a consumer that knows of nothing.
    await _publish(broker, _messages("again"))
    assert _bodies(await _take(subscription, 1)) == ["again"]


async def test_a_consumer_alone_notices_that_the_store_is_lost(
    broker: Broker, other_replica: Broker, server: Server
) -> None:
    subscription = await _subscribe(broker)
    await asyncio.to_thread(server.kill)
    server.lose_store()
    await asyncio.to_thread(server.start)
    taking = asyncio.create_task(_take(subscription, 1))
    await _publish(other_replica, _messages("again"))
    assert _bodies(await taking) == ["again"]


async def test_a_broker_that_is_away_at_the_start_is_waited_for_in_the_background(way: Way) -> None:
    proxy, url = way
    proxy.cut()
    broker = broker_for(url, "test")
    began_at = time.monotonic()
    with capture_logs() as logs:
        await broker.start()
        assert time.monotonic() - began_at < 0.1
        with pytest.raises(BrokerUnavailable):
            await broker.publish(_messages("a"))
        with pytest.raises(BrokerUnavailable):
            await broker.subscribe("group", ["*"])
        await asyncio.sleep(1)
    assert len(logs) <= 3, "an outage is told once, not with each attempt"
    proxy.flow()
    await _publish(broker, _messages("a"))
    assert _bodies(await _take(await _subscribe(broker), 1)) == ["a"]
    await broker.stop()


async def test_a_broker_that_never_came_is_stopped_at_once(url: str, at_port: Callable[[str, int], str]) -> None:
    broker = broker_for(at_port(url, free_port()), "test")
    await broker.start()
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await broker.stop()


async def test_a_fetch_while_the_broker_is_away_fails_at_once(way: Way) -> None:
    proxy, url = way
    broker = broker_for(url, "test")
    await broker.start()
    subscription = await _subscribe(broker)
    proxy.cut()

    async def fetch_until_it_fails() -> None:
        while True:
            await subscription.fetch(256, 0.2)

    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailable):
            await fetch_until_it_fails()
    await broker.stop()


async def test_a_connection_that_is_stranded_with_much_to_send_is_left_for_another(
    way: Way, impatient_broker: Broker
) -> None:
    subscription = await _subscribe(impatient_broker)
    await _publish(impatient_broker, _messages("before"))
    assert _bodies(await _take(subscription, 1)) == ["before"]
    way[0].strand()
    with pytest.raises(BrokerUnavailable):
        await impatient_broker.publish(_messages(*["x" * 200_000] * 200))  # More than the sockets on the way hold.
    await _publish(impatient_broker, _messages("after"))
    taken: list[str] = []
    async with asyncio.timeout(20):
        while "after" not in taken:  # "before" may come again.
            taken += _bodies(await _take(subscription, 1))
    assert set(taken) <= {"before", "after"}


async def test_a_full_queue_refuses_and_has_room_again_when_it_was_emptied(
    broker: Broker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BOUNDS[type(server)], 200_000)
    subscription = await _subscribe(broker)
    accepted = await _publish_until_refused(broker)
    assert accepted > 10
    rest = [f"{number:0>4000}" for number in range(accepted, accepted + 20)]
    publishing = asyncio.create_task(_publish_each(broker, rest))
    taken = await _take(subscription, accepted + len(rest))
    await publishing
    # What was refused may have got in nevertheless; nothing that was accepted is missing.
    assert sorted({int(body) for body in _bodies(taken)}) == list(range(accepted + len(rest)))


async def _publish_until_refused(broker: Broker) -> int:
    for number in range(1_000):
        try:
            await broker.publish(_messages(f"{number:0>4000}"))
        except BrokerUnavailable:
            return number
    raise AssertionError("nothing was refused")


async def _publish_each(broker: Broker, bodies: Sequence[str]) -> None:
    for body in bodies:
        await _publish(broker, _messages(body))


@pytest.mark.parametrize("batches", [4, pytest.param(40, marks=pytest.mark.matrix)])
async def test_thousands_of_events_are_a_matter_of_seconds(broker: Broker, batches: int) -> None:
    subscription = await _subscribe(broker)
    body = "x" * 500

    async def publish() -> None:
        for _ in range(batches):
            await _publish(broker, _messages(*[body] * 500))

    publishing = asyncio.create_task(publish())
    # Far less on a machine that has nothing else to do.
    assert len(await _take(subscription, batches * 500, seconds_max=90)) == batches * 500
    await publishing


@pytest.mark.parametrize("url", ["kafka://localhost/x", "http://localhost", ""])
def test_an_address_of_no_known_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="EVENTS_URL has to start with"):
        broker_for(url, "test")


async def _nothing_is_pending(subscription: Subscription) -> bool:
    return await _waiting(subscription, 0)


async def _waiting(subscription: Subscription, count: int) -> bool:
    return await subscription.pending() == count
