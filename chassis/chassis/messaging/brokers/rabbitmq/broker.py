"""RabbitMQ as broker: a topic exchange, a quorum queue per group, and a stream as history for groups that come later.

Two connections: a server that is short of memory or disk stops reading from those that publish, and acknowledgements,
which would make room, must not wait behind what is published.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.channel import Channel as Wire
from pamqp.commands import Basic

from chassis.messaging.broker import PUBLISH_S_MAX, SIGNATURE_HEADER, BrokerUnavailable, Message
from chassis.messaging.brokers.rabbitmq.backfill import Filling
from chassis.messaging.brokers.rabbitmq.connection import FAULTS, Link, brief_channel, exchange_and_address, limited
from chassis.messaging.brokers.rabbitmq.history import Copy
from chassis.messaging.brokers.rabbitmq.queue import ATTEMPTS_HEADER, RabbitDelivery, RabbitSubscription
from chassis.messaging.brokers.rabbitmq.topology import Topology

_PUBLISH_AT_ONCE = 256
_PERSISTENT = 2


class RabbitBroker:
    """A `Broker`. The path of the address is the exchange's name, and the prefix of its queues'."""

    def __init__(self, url: str, client: str) -> None:
        exchange, address = exchange_and_address(url)
        self._topology = Topology(exchange)
        self._outgoing = Link(address, f"{client}, publishing", self._open_publishing)
        self._incoming = Link(address, f"{client}, taking", self._topology.make)
        self._channel: AbstractChannel | None = None
        self._wire: Wire | None = None
        self._subscriptions: list[RabbitSubscription] = []

    async def start(self) -> None:
        await self._outgoing.start()
        await self._incoming.start()

    async def stop(self) -> None:
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))
        await asyncio.gather(self._outgoing.stop(), self._incoming.stop())

    async def _open_publishing(self, connection: AbstractConnection) -> None:
        await self._topology.make(connection)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        wire = await channel.get_underlay_channel()
        assert isinstance(wire, Wire)

        def note_end(*_: object) -> None:
            # For example, an operator deleted the exchange: the next connection declares it again.
            if self._channel is channel:
                self._outgoing.drop("the channel was closed")

        channel.close_callbacks.add(note_end)
        self._channel, self._wire = channel, wire

    async def publish(self, messages: Sequence[Message]) -> None:
        refused = await self._publish(
            self._topology.exchange,
            [
                (message.type, message.body, _properties(message.id, message.type, message.signature))
                for message in messages
            ],
        )
        if refused:
            raise BrokerUnavailable("publishing was refused: a queue is full")

    async def _publish(self, exchange: str, messages: Sequence[tuple[str, bytes, Basic.Properties]]) -> list[int]:
        """Messages by routing key. Answers the numbers of those that a full queue refused, and of all that were not
        tried for that reason. Raises `BrokerUnavailable` unless each of the others was confirmed by a queue at least.
        """
        wire = self._wire
        if not self._outgoing.is_up or wire is None:
            raise BrokerUnavailable("not connected to the broker")
        try:
            async with limited(PUBLISH_S_MAX):
                for start in range(0, len(messages), _PUBLISH_AT_ONCE):
                    end = start + _PUBLISH_AT_ONCE
                    if refused := await _publish_together(wire, exchange, messages[start:end]):
                        return [*(start + number for number in refused), *range(end, len(messages))]
        except PublishError as error:
            self._give_up(wire, "a message found no queue")  # Everything is made again with the next connection.
            raise BrokerUnavailable("publishing found no queue") from error
        except FAULTS as error:
            self._give_up(wire, f"publishing met {type(error).__name__}")
            raise BrokerUnavailable(f"publishing was not confirmed: {type(error).__name__}") from error
        return []

    def _give_up(self, wire: Wire, reason: str) -> None:
        # What waits to be written when a connection ends waits for its whole time, and there is another one by then.
        if self._wire is wire:
            self._outgoing.drop(reason)

    async def subscribe(self, group: str, types: Sequence[str]) -> RabbitSubscription:
        queue, ward = self._topology.queue(group), self._topology.ward(group)

        async def prepare() -> AbstractConnection:
            connection = self._incoming.connection
            await self._topology.make_group(connection, group, types)
            return connection

        def fill(connection: AbstractConnection, is_taken: Callable[[], bool]) -> Filling:
            return Filling(
                connection,
                self._topology,
                group,
                types,
                put=put,
                mark=mark,
                count_ready=self._count_ready,
                is_taken=is_taken,
            )

        async def put(messages: Sequence[Copy]) -> list[Copy]:
            return await self._put(group, messages)

        async def mark(id_: str) -> None:
            properties = _properties(id_, None, "")
            if await self._publish(self._topology.exchange, [(self._topology.mark_key(group), b"", properties)]):
                raise BrokerUnavailable("the history refused its mark")

        async def renew(delivery: RabbitDelivery) -> None:
            if await self._put(
                group, [(delivery.id, delivery.type, delivery.body, delivery.signature)], attempts=delivery.attempt - 1
            ):
                raise BrokerUnavailable("the queue is full")

        subscription = RabbitSubscription(
            group,
            types,
            queues=(queue, ward),
            prepare=prepare,
            fill=fill,
            renew=renew,
            count_ready=self._count_ready,
        )
        await subscription.bind()
        self._subscriptions.append(subscription)
        return subscription

    async def _put(self, group: str, messages: Sequence[Copy], attempts: int = 0) -> list[Copy]:
        """To the end of the group's own queue alone; answers those that it refused, since it is full."""
        refused = await self._publish(
            self._topology.own_exchange(group),
            [(group, body, _properties(id_, type_, signature, attempts)) for id_, type_, body, signature in messages],
        )
        return [messages[number] for number in refused]

    async def _count_ready(self, queue: str) -> int:
        async with brief_channel(self._incoming.connection) as channel:
            declared = await channel.get_queue(queue)
            return declared.declaration_result.message_count or 0


async def _publish_together(
    wire: Wire, exchange: str, messages: Sequence[tuple[str, bytes, Basic.Properties]]
) -> list[int]:
    outcomes = await asyncio.gather(
        *(
            wire.basic_publish(
                body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True, wait=False
            )
            for routing_key, body, properties in messages
        ),
        return_exceptions=True,
    )
    refused: list[int] = []
    for number, outcome in enumerate(outcomes):
        # What found no queue is a `PublishError`, which is a kind of it.
        if type(outcome) is DeliveryError:
            refused.append(number)
        elif isinstance(outcome, BaseException):
            raise outcome
    return refused


def _properties(id_: str, type_: str | None, signature: str, attempts: int = 0) -> Basic.Properties:
    headers: dict[str, Any] = {ATTEMPTS_HEADER: attempts} if attempts else {}
    if signature:
        headers[SIGNATURE_HEADER] = signature
    return Basic.Properties(
        message_id=id_,
        message_type=type_,
        content_type="application/cloudevents-batch+json",
        delivery_mode=_PERSISTENT,
        headers=headers or None,
    )
