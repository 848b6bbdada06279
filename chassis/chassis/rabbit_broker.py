"""RabbitMQ as broker: a topic exchange, a quorum queue per group, and a stream as history for groups that come later.

Two connections: a server that is short of memory or disk stops reading from those that publish, and acknowledgements,
which would make room, must not wait behind what is published.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq.channel import Channel as Wire
from pamqp.commands import Basic

from chassis.broker import PUBLISH_S_MAX, BrokerUnavailable, Message
from chassis.rabbit_history import copy_history
from chassis.rabbit_link import FAULTS, Link, brief_channel, exchange_and_address, limited
from chassis.rabbit_queue import ATTEMPTS_HEADER, RabbitDelivery, RabbitSubscription
from chassis.rabbit_topology import Topology

_PUBLISH_AT_ONCE = 256
_PERSISTENT = 2
_log = structlog.get_logger()


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
            # Such as an exchange that somebody deleted: it is made again with the next connection.
            if self._channel is channel:
                self._outgoing.drop("the channel was closed")

        channel.close_callbacks.add(note_end)
        self._channel, self._wire = channel, wire

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._publish(
            self._topology.exchange,
            [(message.type, message.body, _properties(message.id, message.type)) for message in messages],
        )

    async def _publish(self, exchange: str, messages: Sequence[tuple[str, bytes, Basic.Properties]]) -> None:
        """Messages by routing key. Raises `BrokerUnavailable` unless each was confirmed by a queue at least."""
        if not self._outgoing.is_up or self._wire is None:
            raise BrokerUnavailable("not connected to the broker")
        try:
            async with limited(PUBLISH_S_MAX):
                for start in range(0, len(messages), _PUBLISH_AT_ONCE):
                    await _publish_together(self._wire, exchange, messages[start : start + _PUBLISH_AT_ONCE])
        except PublishError as error:
            self._outgoing.drop("a message found no queue")  # Everything is made again with the next connection.
            raise BrokerUnavailable("publishing found no queue") from error
        except DeliveryError as error:
            raise BrokerUnavailable("publishing was refused: a queue is full") from error
        except FAULTS as error:
            self._outgoing.drop(f"publishing met {type(error).__name__}")
            raise BrokerUnavailable(f"publishing was not confirmed: {type(error).__name__}") from error

    async def subscribe(self, group: str, types: Sequence[str]) -> RabbitSubscription:
        async def prepare() -> AbstractConnection:
            connection = self._incoming.connection
            await self._topology.make_group(connection, group, types)
            if not await self._topology.is_filled(connection, group):
                await self._fill(connection, group, types)
            return connection

        async def renew(delivery: RabbitDelivery) -> None:
            await self._put(group, [(delivery.id, delivery.type, delivery.body)], attempts=delivery.attempt - 1)

        subscription = RabbitSubscription(
            group,
            types,
            queues=(self._topology.queue(group), self._topology.ward(group)),
            prepare=prepare,
            renew=renew,
            count_ready=self._count_ready,
        )
        try:
            await subscription.bind()
        except FAULTS as error:
            await subscription.close()
            raise BrokerUnavailable(f"subscribing failed: {type(error).__name__}: {error}") from error
        self._subscriptions.append(subscription)
        return subscription

    async def _fill(self, connection: AbstractConnection, group: str, types: Sequence[str]) -> None:
        _log.info("a new queue gets the history", group=group)

        async def mark(id_: str) -> None:
            await self._publish("", [(self._topology.history, b"", _properties(id_, None))])

        async def put(messages: Sequence[tuple[str, str | None, bytes]]) -> None:
            await self._put(group, messages)

        copied = await copy_history(connection, self._topology.history, types, mark=mark, put=put)
        await self._topology.mark_filled(connection, group)
        _log.info("a new queue has the history", group=group, messages=copied)

    async def _put(self, group: str, messages: Sequence[tuple[str, str | None, bytes]], attempts: int = 0) -> None:
        """To the end of one group's queue alone: id, type and body."""
        queue = self._topology.queue(group)
        await self._publish("", [(queue, body, _properties(id_, type_, attempts)) for id_, type_, body in messages])

    async def _count_ready(self, queue: str) -> int:
        async with brief_channel(self._incoming.connection) as channel:
            declared = await channel.get_queue(queue)
            return declared.declaration_result.message_count or 0


async def _publish_together(wire: Wire, exchange: str, messages: Sequence[tuple[str, bytes, Basic.Properties]]) -> None:
    outcomes = await asyncio.gather(
        *(
            wire.basic_publish(
                body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True, wait=False
            )
            for routing_key, body, properties in messages
        ),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _properties(id_: str, type_: str | None, attempts: int = 0) -> Basic.Properties:
    return Basic.Properties(
        message_id=id_,
        message_type=type_,
        content_type="application/cloudevents-batch+json",
        delivery_mode=_PERSISTENT,
        headers={ATTEMPTS_HEADER: attempts} if attempts else None,
    )
