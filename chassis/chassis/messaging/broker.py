"""What a broker has to do for us, whichever it is. It carries events; it is not trusted to keep them.

`EVENTS_URL` picks the broker by its scheme: `nats://login:password@host:4222/<stream>`, or
`amqp://login:password@host:5672/<exchange>?vhost=<virtual host>` (`amqps://` with TLS; the virtual host is `/` unless
given). The path names the stream (the exchange), so that several systems can share one broker.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from chassis.problems import Unavailable

PUBLISH_S_MAX = 10.0
SIGNATURE_HEADER = "Event-Signature"


class BrokerUnavailable(Unavailable):
    """The broker did not do it, or did not say so in time."""

    code, title = "broker_unavailable", "The broker is not available at the moment."


class Message(msgspec.Struct, frozen=True):
    """What is published. `type` decides who gets it; `id` lets a broker drop a repetition, if it can."""

    id: str
    type: str
    body: bytes
    signature: str = ""
    """Of the body, by the service that publishes it; a broker carries it beside the body."""


class Delivery(Protocol):
    """A message that was handed out and waits for an acknowledgement."""

    body: bytes
    signature: str

    @property
    def attempt(self) -> int:
        """1 for the first delivery."""

    @property
    def given_up(self) -> bool:
        """Its consumers ended before they answered, again and again: keep it as a dead letter, without another try."""

    async def acknowledge(self) -> None:
        """It is done with; never hand it out again."""

    async def return_later(self, delay_s: float) -> None:
        """It could not be handled; hand it out again after the delay."""


class Subscription(Protocol):
    """The queue of one consumer group: every replica of a service takes from the same."""

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Delivery]:
        """Up to `size_max` messages; none when there are none within `wait_s`. Raises `BrokerUnavailable`."""

    async def pending(self) -> int:
        """How many messages wait. Raises `BrokerUnavailable`."""


class Broker(Protocol):
    """A connection to a broker. A `Part`."""

    async def start(self) -> None:
        """Return at once and connect in the background: a service is ready while its broker is away."""

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return once every message is confirmed; raise `BrokerUnavailable` when any may be missing."""

    async def subscribe(self, group: str, types: Sequence[str]) -> Subscription:
        """The queue of `group`, made when missing, fed with events of `types` (`order.*`, `order.placed`, `*`).

        Raises `BrokerUnavailable`.
        """


def is_among(type_: str, types: Sequence[str]) -> bool:
    """Whether a group that asked for `types` wants an event of `type_`."""
    return any(type_.startswith(wanted[:-1]) if wanted.endswith("*") else type_ == wanted for wanted in types)
