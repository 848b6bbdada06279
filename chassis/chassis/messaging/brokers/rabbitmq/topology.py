"""What stands on the RabbitMQ server: exchanges, a queue per group with a ward beside it, and the history.

    exchange E (topic) ──> stream E             the history: everything, for groups that come later
    exchange E.<group> ──> queue  E.<group>     what the group itself puts there: copies of the history
                       ──> queue  E.<group>     what the group has still to take
                               │ delivered too often without an answer
                               └──> exchange E.dead ──> queue E.<group>.dead     the ward

Everything is durable, and made by the replica that comes first. What stands already is left as it is: its bounds may be
an operator's choice, and the login of a service need not be allowed to make what all share. All arguments are known to
RabbitMQ 3.10 and to 4.
"""

from collections.abc import Sequence
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from chassis.messaging.brokers.rabbitmq.connection import brief_channel

QUEUE_BYTES_MAX = 2 * 1024**3
HISTORY_BYTES_MAX = 2 * 1024**3
HISTORY_AGE_MAX = "3D"
HISTORY_SEGMENT_BYTES = 64 * 1024**2
"""The history is shortened by whole segments."""
HISTORY_ARGUMENTS = {
    "x-queue-type": "stream",
    "x-max-length-bytes": HISTORY_BYTES_MAX,
    "x-max-age": HISTORY_AGE_MAX,
    "x-stream-max-segment-size-bytes": HISTORY_SEGMENT_BYTES,
}
DELIVERY_LIMIT = 10
"""After so many deliveries without an answer a message goes to quarantine. A returned delivery does not count."""


class Topology:
    """The names of everything that belongs to one exchange."""

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self.history = exchange
        self.dead_exchange = f"{exchange}.dead"

    def queue(self, group: str) -> str:
        return f"{self.exchange}.{group}"

    def own_exchange(self, group: str) -> str:
        """It leads to the queue of the group alone, and only the group's service has to be allowed to use it: by the
        default exchange a login could reach every queue."""
        return self.queue(group)

    def mark_key(self, group: str) -> str:
        """The routing key of the marks that the group leaves in the history."""
        return f"mark.{group}"

    def ward(self, group: str) -> str:
        return f"{self.queue(group)}.dead"

    def filled(self, group: str) -> str:
        return f"{self.queue(group)}.filled"

    async def make(self, connection: AbstractConnection) -> None:
        """What publishers need: the exchange, and the history, by which every event finds a queue."""
        if not await self._stands(connection):
            async with brief_channel(connection) as channel:
                await channel.declare_exchange(self.exchange, ExchangeType.TOPIC, durable=True)
                await channel.declare_exchange(self.dead_exchange, ExchangeType.DIRECT, durable=True)
            await _ensure_queue(connection, self.history, HISTORY_ARGUMENTS)
        await self._bind(connection, self.history, self.exchange, ["#"])

    async def _stands(self, connection: AbstractConnection) -> bool:
        """Whether all that publishers need is there. To ask so takes no permission."""
        try:
            async with brief_channel(connection) as channel:
                await channel.declare_exchange(self.exchange, passive=True)
                await channel.declare_exchange(self.dead_exchange, passive=True)
                await channel.declare_queue(self.history, passive=True)
        except ChannelNotFoundEntity:
            return False
        return True

    async def make_group(self, connection: AbstractConnection, group: str, types: Sequence[str]) -> None:
        """The group's queue, fed with `types` from now on, and its ward."""
        # A full queue refuses what is published: it is the publishers' journals that keep the events then.
        bounds = {"x-queue-type": "quorum", "x-max-length-bytes": QUEUE_BYTES_MAX, "x-overflow": "reject-publish"}
        await _ensure_queue(connection, self.ward(group), bounds)
        await self._bind(connection, self.ward(group), self.dead_exchange, [group])
        await _ensure_queue(
            connection,
            self.queue(group),
            {
                **bounds,
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": self.dead_exchange,
                "x-dead-letter-routing-key": group,
                # By default a dead letter that does not arrive is lost.
                "x-dead-letter-strategy": "at-least-once",
            },
        )
        await self._bind(connection, self.queue(group), self.exchange, [_binding_key(type_) for type_ in types])
        async with brief_channel(connection) as channel:
            await channel.declare_exchange(self.own_exchange(group), ExchangeType.DIRECT, durable=True)
        await self._bind(connection, self.queue(group), self.own_exchange(group), [group])

    async def is_filled(self, connection: AbstractConnection, group: str) -> bool:
        """Whether the group's queue once got the history, and is still that same queue."""
        try:
            async with brief_channel(connection) as channel:
                await channel.declare_exchange(self.filled(group), passive=True)
        except ChannelNotFoundEntity:
            return False
        return True

    async def mark_filled(self, connection: AbstractConnection, group: str) -> None:
        """The mark is an exchange without messages. The server deletes it with the queue that it is bound to."""
        async with brief_channel(connection) as channel:
            mark = await channel.declare_exchange(
                self.filled(group), ExchangeType.FANOUT, durable=True, auto_delete=True, internal=True
            )
            queue = await channel.get_queue(self.queue(group), ensure=False)
            await queue.bind(mark)

    async def _bind(self, connection: AbstractConnection, queue: str, exchange: str, keys: Sequence[str]) -> None:
        async with brief_channel(connection) as channel:
            bound = await channel.get_queue(queue, ensure=False)
            for key in keys:
                await bound.bind(exchange, key)


async def _ensure_queue(connection: AbstractConnection, name: str, arguments: dict[str, Any]) -> None:
    try:
        async with brief_channel(connection) as channel:
            await channel.declare_queue(name, durable=True, arguments=arguments)
    except ChannelPreconditionFailed:
        # It stands, with other arguments.
        async with brief_channel(connection) as channel:
            await channel.get_queue(name)


def _binding_key(type_: str) -> str:
    """Our `*` at the end takes all that follows, which is `#` to RabbitMQ."""
    return f"{type_[:-1]}#" if type_.endswith("*") else type_
