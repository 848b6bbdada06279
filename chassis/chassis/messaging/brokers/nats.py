"""NATS JetStream as broker: one file-backed stream, a durable pull consumer per group.

nats-py's defaults are set right here: it would give up after 60 reconnects, and a fetch on a closed connection spins
without yielding. It mends short outages by itself; a client that stays away is replaced, since some never come back.
Consumers can vanish with a server's store, so a group that hears nothing looks whether it is there.
"""

import asyncio
import contextlib
import time
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

from chassis.lifecycle import keep_trying
from chassis.messaging.broker import PUBLISH_S_MAX, SIGNATURE_HEADER, BrokerUnavailable, Delivery, Message

STREAM_BYTES_MAX = 2 * 1024**3
STREAM_AGE_S_MAX = 3 * 86_400
ACK_WAIT_S = 30
ACK_PENDING_MAX = 2_000
PING_INTERVAL_S = 5
"""A server that leaves two pings without an answer is taken for dead at the third."""
AWAY_S_MAX = 10.0
"""A client that has not come back for so long is replaced."""
_LOOK_PAUSE_S = 1.0
_CLOSE_S_MAX = 2.0
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
        # Of the login's own: permissions can keep others from listening to its answers.
        self._inbox_prefix = f"_INBOX.{parts.username}" if parts.username else "_INBOX"
        self._client_name = client
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._last_fault = ""
        self._unconfirmed: set[asyncio.Future[PubAck]] = set()

    async def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep(), name="connect to the broker")

    async def _keep(self) -> None:
        while True:
            await keep_trying("broker", self._connect, on=_FAULTS)
            assert self._client is not None
            await _until_lost(self._client)
            _log.warning("the connection to the broker is given up and made anew")
            self._let_go()

    async def _connect(self) -> None:
        # It tries until it is connected: two seconds each time, and a quarter of one between.
        client = await nats.connect(
            self._server,
            name=self._client_name,
            inbox_prefix=self._inbox_prefix,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.25,
            allow_reconnect=True,
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=2,
            pending_size=8 * 1024 * 1024,
            error_cb=self._note_fault,
            reconnected_cb=self._note_connection,
        )
        try:
            jetstream = client.jetstream(timeout=5, publish_async_max_pending=_PUBLISH_PENDING_MAX)
            await self._ensure_stream(jetstream)
        except BaseException:
            self._close(client)
            raise
        self._client, self._jetstream = client, jetstream
        await self._note_connection()

    def _let_go(self) -> None:
        client, self._client, self._jetstream = self._client, None, None
        if client is not None:
            self._close(client)

    def _close(self, client: Client) -> None:
        """In the background: closing waits until what was written is sent, which a dead path never lets happen."""
        closing = asyncio.create_task(_close_in_time(client))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

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
        if self._keeping is not None:
            self._keeping.cancel()
            # Waited for with a limit, since nats-py swallows a cancellation in places.
            await asyncio.wait([self._keeping], timeout=_CLOSE_S_MAX)
        self._let_go()
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_S_MAX)

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
                    f"{self._stream}.{message.type}", message.body, headers=_headers(message)
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
        if self._jetstream is None or self._client is None or not self._client.is_connected:
            raise BrokerUnavailable("not connected to the broker")
        return self._jetstream

    async def make_consumer(
        self, jetstream: JetStreamContext, group: str, subjects: list[str]
    ) -> JetStreamContext.PullSubscription:
        """Make the durable consumer of `group` (the same again is no change) and bind to it."""
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
        self._bound_by: JetStreamContext | None = None
        self._silent_fetches = 0

    async def bind(self) -> None:
        """Make the group's consumer, when the server has none, and take from it."""
        jetstream = self._broker.ready()
        old, self._pull, self._bound_by = self._pull, None, None
        if old is not None:
            try:
                await old.unsubscribe()
            except _FAULTS:
                _log.info("the old subscription was gone already", group=self._group)
        self._pull = await self._broker.make_consumer(jetstream, self._group, self._subjects)
        self._bound_by = jetstream
        self._silent_fetches = 0

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Delivery]:
        try:
            jetstream = self._broker.ready()  # A fetch on a closed connection would spin without yielding.
            # A replaced client is never heard of again, and its subscriptions with it.
            if self._bound_by is not jetstream or self._silent_fetches >= _SILENT_FETCHES_MAX:
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
        self.signature: str = (message.headers or {}).get(SIGNATURE_HEADER, "")
        self.attempt: int = message.metadata.num_delivered or 1
        self.given_up = False
        """JetStream counts a returned message like one without an answer, so the two cannot be told apart."""

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


def _headers(message: Message) -> dict[str, str]:
    headers = {"Nats-Msg-Id": message.id}
    return headers | {SIGNATURE_HEADER: message.signature} if message.signature else headers


async def _until_lost(client: Client) -> None:
    """Return when the client will hardly come back by itself.

    nats-py 2.16 ends for good when the server refuses anything by `-ERR`. And before it connects again it waits,
    without a limit, until the old socket has sent what was written: after a path died under load, the kernel gives
    that up in a quarter of an hour. It tells of either only when that is over, hence the looks.
    """
    connected_at = time.monotonic()
    while True:
        # Also the pause between a connection and the next one where the server ends each at once.
        await asyncio.sleep(_LOOK_PAUSE_S)
        if client.is_connected:
            connected_at = time.monotonic()
        elif client.is_closed or time.monotonic() - connected_at > AWAY_S_MAX:
            return


async def _close_in_time(client: Client) -> None:
    # What it raises is of no concern any more. A socket that cannot send is left to the kernel.
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_S_MAX):
            await client.close()


def _done_up_to(group: ConsumerInfo, last: int) -> int:
    """The number of the last message before which nothing is left to do for the group; `last` is the stream's own."""
    if not group.num_pending and not group.num_ack_pending:
        return last  # Its own count stands at the last message that was of its concern.
    return group.ack_floor.stream_seq if group.ack_floor is not None else 0


def _subject(type_: str) -> str:
    """Our `*` at the end takes all that follows, which is `>` to NATS."""
    return f"{type_[:-1]}>" if type_.endswith("*") else type_
