"""NATS JetStream as broker: one file-backed stream, a durable pull consumer per group.

nats-py's defaults are set right here: it would give up after 60 reconnects, and a fetch on a closed connection spins
without yielding. Consumers can vanish with a server's store, so a group that hears nothing looks whether it is there.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    PubAck,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError

from chassis.broker import PUBLISH_S_MAX, BrokerUnavailable, Delivery, Message
from chassis.lifecycle import keep_trying

STREAM_BYTES_MAX = 2 * 1024**3
STREAM_AGE_S_MAX = 3 * 86_400
ACK_WAIT_S = 30
ACK_PENDING_MAX = 2_000
_SILENT_FETCHES_MAX = 40
_PUBLISH_AT_ONCE = 256
_PUBLISH_PENDING_MAX = 4_000
_STREAM_FULL = 10077
_FAULTS = (NatsError, OSError, TimeoutError, asyncio.InvalidStateError)
_log = structlog.get_logger()


class NatsBroker:
    """A `Broker`. The path of the address is the stream's name and the prefix of its subjects."""

    def __init__(self, url: str, client: str) -> None:
        parts = urlsplit(url)
        self._stream = parts.path.strip("/") or "cartwright"
        self._server = urlunsplit(parts._replace(path=""))
        self._client_name = client
        self._connection: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._last_fault = ""
        self._unconfirmed: set[asyncio.Future[PubAck]] = set()

    async def start(self) -> None:
        self._connecting = asyncio.create_task(
            keep_trying("broker", self._connect, on=_FAULTS), name="connect to the broker"
        )

    async def _connect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = await nats.connect(
            self._server,
            name=self._client_name,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,
            allow_reconnect=True,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=8 * 1024 * 1024,
            error_cb=self._note_fault,
            reconnected_cb=self._note_connection,
        )
        jetstream = self._connection.jetstream(timeout=5, publish_async_max_pending=_PUBLISH_PENDING_MAX)
        await self._ensure_stream(jetstream)
        self._jetstream = jetstream
        await self._note_connection()

    async def _note_connection(self) -> None:
        self._last_fault = ""
        _log.info("connected to the broker")

    async def _note_fault(self, error: Exception) -> None:
        if isinstance(error, APIError):
            # A message was refused. nats-py 2.16 tells it here, and lets those who wait for confirmations wait on.
            for confirmation in self._unconfirmed:
                if not confirmation.done():
                    confirmation.set_exception(error)
        # The client tries four times a second; an outage is told once.
        fault = f"{type(error).__name__}: {error}"
        if fault != self._last_fault:
            self._last_fault = fault
            _log.warning("the connection to the broker met a fault", error=fault)

    async def _ensure_stream(self, jetstream: JetStreamContext) -> None:
        """Make the stream if the server has none; leave one that is there as it is."""
        try:
            await jetstream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=[f"{self._stream}.>"],
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.LIMITS,
                    discard=DiscardPolicy.NEW,
                    max_bytes=STREAM_BYTES_MAX,
                    max_age=STREAM_AGE_S_MAX,
                    duplicate_window=120,
                )
            )
        except BadRequestError as error:
            if error.err_code != 10058:  # Another replica made it with other settings: an operator's choice.
                raise

    async def stop(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            try:
                async with asyncio.timeout(2.0):
                    await self._connection.close()
            except TimeoutError:
                _log.warning("the connection to the broker did not close in time")

    async def publish(self, messages: Sequence[Message]) -> None:
        jetstream = self.ready()
        try:
            async with asyncio.timeout(PUBLISH_S_MAX):
                for start in range(0, len(messages), _PUBLISH_AT_ONCE):
                    await self._publish_together(jetstream, messages[start : start + _PUBLISH_AT_ONCE])
        except _FAULTS as error:
            if isinstance(error, NoStreamResponseError):
                await self._mend_stream(jetstream)
            elif isinstance(error, APIError) and error.err_code == _STREAM_FULL:
                await self._make_room(jetstream)
            raise BrokerUnavailable(f"publishing was not confirmed: {type(error).__name__}") from error

    async def _publish_together(self, jetstream: JetStreamContext, messages: Sequence[Message]) -> None:
        confirmations: list[asyncio.Future[PubAck]] = []
        try:
            for message in messages:
                confirmation = await jetstream.publish_async(
                    f"{self._stream}.{message.type}", message.body, headers={"Nats-Msg-Id": message.id}
                )
                confirmations.append(confirmation)
                self._unconfirmed.add(confirmation)
            await asyncio.gather(*confirmations)
        finally:
            # One that is left to wait for its answer holds a place among the client's pending ones for ever.
            for confirmation in confirmations:
                confirmation.cancel()
            self._unconfirmed.difference_update(confirmations)

    async def _mend_stream(self, jetstream: JetStreamContext) -> None:
        _log.warning("the broker has no stream any more; it is made again")
        try:
            await self._ensure_stream(jetstream)
        except _FAULTS as fault:
            _log.warning("the stream could not be made", error=str(fault))

    async def _make_room(self, jetstream: JetStreamContext) -> None:
        """Remove what every group has acknowledged: a stream keeps what was consumed too, until it is full."""
        try:
            last = (await jetstream.stream_info(self._stream)).state.last_seq
            groups = await jetstream.consumers_info(self._stream)
            done = min((_done_up_to(group, last) for group in groups), default=0)
            if done > 0:
                await jetstream.purge_stream(self._stream, seq=done + 1)
            _log.warning("the stream is full; what every group has acknowledged was removed", up_to=done)
        except _FAULTS as fault:
            _log.warning("no room could be made in the stream", error=str(fault))

    async def subscribe(self, group: str, types: Sequence[str]) -> "NatsSubscription":
        subscription = NatsSubscription(self, group, [f"{self._stream}.{_subject(type_)}" for type_ in types])
        try:
            await subscription.bind()
        except _FAULTS as error:
            raise BrokerUnavailable(f"subscribing failed: {type(error).__name__}") from error
        return subscription

    def ready(self) -> JetStreamContext:
        """The way to the server. Raises `BrokerUnavailable` while there is none."""
        if self._jetstream is None or self._connection is None or not self._connection.is_connected:
            raise BrokerUnavailable("not connected to the broker")
        return self._jetstream

    async def make_consumer(self, group: str, subjects: list[str]) -> JetStreamContext.PullSubscription:
        """Make the durable consumer of `group` (the same again is no change) and bind to it."""
        jetstream = self.ready()
        config = ConsumerConfig(
            durable_name=group,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=ACK_PENDING_MAX,
            max_deliver=-1,
            filter_subjects=subjects,
        )
        try:
            await jetstream.add_consumer(self._stream, config)
        except NotFoundError:
            await self._ensure_stream(jetstream)
            await jetstream.add_consumer(self._stream, config)
        return await jetstream.pull_subscribe_bind(group, self._stream)

    async def waiting(self, group: str) -> int:
        try:
            information = await self.ready().consumer_info(self._stream, group)
        except _FAULTS as error:
            raise BrokerUnavailable(str(error)) from error
        return (information.num_pending or 0) + (information.num_ack_pending or 0)


class NatsSubscription:
    """A `Subscription`."""

    def __init__(self, broker: NatsBroker, group: str, subjects: list[str]) -> None:
        self._broker = broker
        self._group = group
        self._subjects = subjects
        self._pull: JetStreamContext.PullSubscription | None = None
        self._silent_fetches = 0

    async def bind(self) -> None:
        """Make the group's consumer, when the server has none, and take from it."""
        old, self._pull = self._pull, None
        if old is not None:
            try:
                await old.unsubscribe()
            except _FAULTS:
                _log.info("the old subscription was gone already", group=self._group)
        self._pull = await self._broker.make_consumer(self._group, self._subjects)
        self._silent_fetches = 0

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Delivery]:
        try:
            self._broker.ready()  # A fetch on a closed connection would spin without yielding.
            if self._pull is None or self._silent_fetches >= _SILENT_FETCHES_MAX:
                await self.bind()
            assert self._pull is not None
            async with asyncio.timeout(wait_s + 2.0):
                messages = await self._pull.fetch(size_max, timeout=wait_s)
        except TimeoutError:
            # nats.errors.TimeoutError is one of these: nothing came.
            self._silent_fetches += 1
            return []
        except _FAULTS as error:
            self._silent_fetches = _SILENT_FETCHES_MAX
            raise BrokerUnavailable(str(error) or type(error).__name__) from error
        self._silent_fetches = 0
        return [NatsDelivery(message) for message in messages]

    async def pending(self) -> int:
        return await self._broker.waiting(self._group)


class NatsDelivery:
    """A `Delivery`."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.body: bytes = message.data
        self.attempt: int = message.metadata.num_delivered or 1
        self.given_up = False
        """JetStream counts what is handed back like what nobody answered, so that it cannot be told."""

    async def acknowledge(self) -> None:
        try:
            await self._message.ack()
        except _FAULTS as error:
            raise BrokerUnavailable(str(error)) from error

    async def return_later(self, delay_s: float) -> None:
        try:
            await self._message.nak(delay=delay_s)
        except _FAULTS as error:
            raise BrokerUnavailable(str(error)) from error


def _done_up_to(group: ConsumerInfo, last: int) -> int:
    """The number of the last message before which nothing is left to do for the group; `last` is the stream's own."""
    if not group.num_pending and not group.num_ack_pending:
        return last  # Its own count stands at the last message that was of its concern.
    return group.ack_floor.stream_seq if group.ack_floor is not None else 0


def _subject(type_: str) -> str:
    """Our `*` at the end takes all that follows, which is `>` to NATS."""
    return f"{type_[:-1]}>" if type_.endswith("*") else type_
