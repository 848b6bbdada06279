"""How many events a second go by each broker, through the same code by which services publish and consume them.

The servers are real, of their own, on a disk, one after the other. The chassis is installed wherever a system can be
started, as the services are.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator
from time import perf_counter

import msgspec

from cartwright.bench.machine import describe
from cartwright.bench.own_system import folder
from cartwright.bench.results import Machine
from cartwright.launcher import rabbitmq
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import NatsServer, RabbitServer
from chassis.messaging.broker import Broker, BrokerUnavailable, Message, Subscription
from chassis.messaging.brokers import broker_for

EVENT_BYTES = 500
FETCHED_AT_ONCE = 64
READY_S_MAX = 30.0
DRAIN_S_MAX = 300.0


class Way(msgspec.Struct, frozen=True):
    """So many events in a message, and so many messages in one publishing."""

    name: str
    events: int
    messages: int


WAYS = (
    Way("as the relay does: 100 events a message, 5 at once", 100, 5),
    Way("a message for each event, 500 at once", 1, 500),
    Way("a message for each event, one after the other", 1, 1),
)


class BrokerFigures(msgspec.Struct, frozen=True):
    """Events a second: confirmed by the broker, and then taken and acknowledged by one group."""

    broker: str
    way: str
    published: float
    consumed: float


class BrokerReport(msgspec.Struct, frozen=True):
    machine: Machine
    event_bytes: int
    figures: list[BrokerFigures]
    missing: list[str]
    """What was not measured, and why."""


def compare_brokers(seconds: float, say: Callable[[str], None]) -> BrokerReport:
    """Publishes for so many seconds in each way, and then consumes all of it."""
    machine = describe()
    figures: list[BrokerFigures] = []
    missing: list[str] = []
    with Reaper() as will:
        for name, program in (("NATS JetStream", ""), ("RabbitMQ", rabbitmq.program())):
            if program is None:
                missing.append(f"{name}: it is not installed ({rabbitmq.INSTALL})")
                continue
            say(f"Starting {name}.")
            with _running(name, will) as url:
                figures += asyncio.run(_measure(name, url, seconds, say))
    return BrokerReport(machine, EVENT_BYTES, figures, missing)


@contextlib.contextmanager
def _running(name: str, will: Reaper) -> Iterator[str]:
    with folder(will) as place:
        if name == "RabbitMQ":
            rabbit = RabbitServer(place, will)
            try:
                rabbit.start()
                yield rabbit.url("bench")
            finally:
                rabbit.end()
        else:
            nats = NatsServer(place, will)
            nats.start()
            try:
                yield nats.url("bench")
            finally:
                nats.kill()


async def _measure(name: str, url: str, seconds: float, say: Callable[[str], None]) -> list[BrokerFigures]:
    broker = broker_for(url, "bench")
    await broker.start()
    try:
        subscription = await _subscribe(broker)
        figures = []
        for way in WAYS:
            say(f"{name}, {way.name}")
            published, events = await _publish(broker, way, seconds)
            consumed = await _consume(subscription, way, events)
            figures.append(BrokerFigures(name, way.name, round(published), round(consumed)))
        return figures
    finally:
        await broker.stop()


async def _subscribe(broker: Broker) -> Subscription:
    async with asyncio.timeout(READY_S_MAX):
        while True:
            try:
                subscription = await broker.subscribe("bench", ["*"])
                await broker.publish([])
                return subscription
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _publish(broker: Broker, way: Way, seconds: float) -> tuple[float, int]:
    """Events a second, and how many there were."""
    body = b"[" + b",".join([b'"' + b"x" * (EVENT_BYTES - 3) + b'"'] * way.events) + b"]"
    began_at = perf_counter()
    events = 0
    while perf_counter() - began_at < seconds:
        await broker.publish([Message(str(uuid.uuid4()), "bench.event", body) for _ in range(way.messages)])
        events += way.events * way.messages
    return events / (perf_counter() - began_at), events


async def _consume(subscription: Subscription, way: Way, events: int) -> float:
    """Events a second. Takes all, or the next way would find what this one left."""
    began_at = perf_counter()
    left = events
    async with asyncio.timeout(DRAIN_S_MAX):
        while left > 0:
            deliveries = await subscription.fetch(FETCHED_AT_ONCE, 1.0)
            for delivery in deliveries:
                await delivery.acknowledge()
            left -= way.events * len(deliveries)
    return events / (perf_counter() - began_at)
