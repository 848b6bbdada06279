"""What a group takes from its queue at RabbitMQ, in batches: the queue itself, and the ward beside it.

What is handed back stays in hand here until its delay is over. To give it to the server again would count as a failed
delivery, so that an hour without a database would end among the dead letters. What came to the ward is handed out one
message at a time: if its taker ends again, there is no doubt by which.
"""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as Wire
from aiormq.abc import DeliveredMessage

from chassis.messaging.broker import BrokerUnavailable, Delivery, is_among
from chassis.messaging.brokers.rabbitmq.backfill import Filling
from chassis.messaging.brokers.rabbitmq.connection import CALL_S_MAX, CLOSE_S_MAX, FAULTS, limited, signature_in
from chassis.messaging.brokers.rabbitmq.topology import DELIVERY_LIMIT

PREFETCH = 256
"""In hand at once, of the queue: four batches of a consumer."""
ACK_WAIT_S = 30.0
"""What was handed out and is not answered by then is handed out again."""
HOLD_S_MAX = 300.0
"""The server closes the channel of who holds a message for half an hour, so it is put to the queue's end before."""
WARD_TRIES_MAX = 3
ATTEMPTS_HEADER = "x-attempts"
_log = structlog.get_logger()


class RabbitDelivery:
    """A `Delivery`."""

    def __init__(self, message: DeliveredMessage, lane: "Lane", put_off: "PutOff") -> None:
        assert message.delivery_tag is not None, "the server numbers what it delivers"
        properties = message.header.properties
        headers = properties.headers or {}
        self.tag = message.delivery_tag
        self.body: bytes = message.body
        self.signature = signature_in(headers)
        self.id = properties.message_id or ""
        self.type = properties.message_type
        self.lane = lane
        self.received_at = time.monotonic()
        self.is_answered = False
        self.returns = 0
        """How often it was handed back here; the server knows nothing of that."""
        self._put_off = put_off
        self._deliveries_before = _number(headers.get("x-delivery-count"))
        self._attempts_before = _number(headers.get(ATTEMPTS_HEADER))

    @property
    def attempt(self) -> int:
        before_the_ward = DELIVERY_LIMIT + 1 if self.lane.is_ward else 0
        return 1 + self._attempts_before + before_the_ward + self._deliveries_before + self.returns

    @property
    def given_up(self) -> bool:
        return self.lane.is_ward and self._deliveries_before >= WARD_TRIES_MAX

    async def acknowledge(self) -> None:
        self.lane.acknowledge(self)

    async def return_later(self, delay_s: float) -> None:
        await self._put_off(self, delay_s)


PutOff = Callable[[RabbitDelivery, float], Awaitable[None]]


class Lane:
    """One consumer of one queue: what has come, and the acknowledgements on their way.

    Acknowledgements that are given in one round of the event loop travel as one, as far as they are next to each other.
    """

    def __init__(self, queue: str, prefetch: int, arrived: asyncio.Event, put_off: PutOff, *, is_ward: bool) -> None:
        self.is_ward = is_ward
        self.fresh: deque[RabbitDelivery] = deque()
        self.unanswered: dict[int, RabbitDelivery] = {}
        self._queue = queue
        self._prefetch = prefetch
        self._arrived = arrived
        self._put_off = put_off
        self._channel: AbstractChannel | None = None
        self._wire: Wire | None = None
        self._sending: asyncio.Task[None] | None = None

    async def open(self, connection: AbstractConnection) -> None:
        # The channel is kept here: its connection holds it by a weak reference only.
        self._channel = await connection.channel(publisher_confirms=False)
        await self._channel.set_qos(prefetch_count=self._prefetch)
        wire = await self._channel.get_underlay_channel()
        wire.on_consumer_cancel_callbacks.add(self._note_end)
        self._channel.close_callbacks.add(self._note_end)
        self._wire = wire
        await wire.basic_consume(self._queue, self._take)

    @property
    def is_open(self) -> bool:
        return self._wire is not None and not self._wire.is_closed

    async def close(self) -> None:
        """Send what is acknowledged, and let go; the server hands out the rest again."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
        channel, self._channel, self._wire = self._channel, None, None
        if channel is not None:
            await channel.close()

    def acknowledge(self, delivery: RabbitDelivery) -> None:
        if not self.is_open:
            raise BrokerUnavailable("the connection that brought the message is gone")
        delivery.is_answered = True
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_acknowledgements(), name=f"acknowledge to {self._queue}")

    async def _take(self, message: DeliveredMessage) -> None:
        delivery = RabbitDelivery(message, self, self._put_off)
        self.unanswered[delivery.tag] = delivery
        if not delivery.body:
            # A mark in the history, which a group that listens to everything gets too. It is no event that waits.
            if self.is_open:
                self.acknowledge(delivery)
            return
        self.fresh.append(delivery)
        self._arrived.set()

    async def _send_acknowledgements(self) -> None:
        try:
            while (wire := self._wire) is not None and (acknowledgements := self._collect()):
                for tag, is_of_all_before in acknowledgements:
                    await wire.basic_ack(tag, multiple=is_of_all_before, wait=False)
        except FAULTS as error:
            _log.info("acknowledgements were lost; the messages come again", queue=self._queue, error=str(error))

    def _collect(self) -> list[tuple[int, bool]]:
        answered = [tag for tag, delivery in self.unanswered.items() if delivery.is_answered]
        for tag in answered:
            del self.unanswered[tag]
        oldest = min(self.unanswered, default=None)
        together = [tag for tag in answered if oldest is None or tag < oldest]
        return [
            *([(together[-1], True)] if together else []),
            *((tag, False) for tag in answered[len(together) :]),
        ]

    def _note_end(self, *_: object) -> None:
        """The queue was deleted, or the channel is closed: who waits for a message has to know."""
        self._wire = None
        self._arrived.set()


class RabbitSubscription:
    """A `Subscription`."""

    def __init__(
        self,
        group: str,
        types: Sequence[str],
        *,
        queues: tuple[str, str],
        prepare: Callable[[], Awaitable[AbstractConnection]],
        fill: Callable[[AbstractConnection, Callable[[], bool]], Filling],
        renew: Callable[[RabbitDelivery], Awaitable[None]],
        count_ready: Callable[[str], Awaitable[int]],
    ) -> None:
        self._group = group
        self._types = types
        self._queues = queues
        self._prepare = prepare
        self._fill = fill
        self._filling: Filling | None = None
        self._renew = renew
        self._count_ready = count_ready
        self._arrived = asyncio.Event()
        self._lanes: list[Lane] = []
        self._handed_out: dict[RabbitDelivery, float] = {}
        self._put_off_until: list[tuple[float, int, RabbitDelivery]] = []
        self._again: deque[RabbitDelivery] = deque()
        self._returns_before: dict[str, int] = {}
        """Of what was in hand when the connection broke, by the message's id."""
        self._numbers = count()

    async def bind(self) -> None:
        """Make the group's queues, where the server has none, and take from them. Raises `BrokerUnavailable`."""
        await self.close()
        try:
            await self._open()
        except FAULTS as error:
            await self.close()
            raise BrokerUnavailable(f"subscribing failed: {type(error).__name__}: {error}") from error
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        connection = await self._prepare()
        queue, ward = self._queues
        lanes = self._lanes = [
            Lane(ward, 1, self._arrived, self._put_off, is_ward=True),
            Lane(queue, PREFETCH, self._arrived, self._put_off, is_ward=False),
        ]
        async with limited(CALL_S_MAX):
            for lane in lanes:
                await lane.open(connection)
        self._filling = self._fill(connection, lambda: self._lanes is lanes and self._is_bound)
        await self._filling.wait_for_head_start()

    async def close(self) -> None:
        if self._lanes:
            held = [delivery for lane in self._lanes for delivery in lane.unanswered.values()]
            self._returns_before = {delivery.id: delivery.returns for delivery in held if delivery.returns}
        lanes, self._lanes = self._lanes, []
        self._handed_out.clear()
        self._put_off_until.clear()
        self._again.clear()
        filling, self._filling = self._filling, None
        if filling is not None:
            await filling.end()
        for lane in lanes:
            try:
                async with limited(CLOSE_S_MAX):
                    await lane.close()
            except FAULTS:
                _log.info("the old subscription was gone already", group=self._group)

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Delivery]:
        deadline = time.monotonic() + wait_s
        if not self._is_bound:
            await self.bind()
        while True:
            self._arrived.clear()
            self._take_up_again()
            if batch := self._next_batch(size_max):
                now = time.monotonic()
                self._handed_out.update((delivery, now) for delivery in batch)
                return batch
            if not self._is_bound:
                raise BrokerUnavailable("the connection that messages come by is gone")
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return []
            await self._wait(left_s)

    async def pending(self) -> int:
        try:
            ready = [await self._count_ready(queue) for queue in self._queues]
        except FAULTS as error:
            raise BrokerUnavailable(str(error) or type(error).__name__) from error
        return sum(ready) + sum(len(lane.unanswered) for lane in self._lanes)

    @property
    def _is_bound(self) -> bool:
        return bool(self._lanes) and all(lane.is_open for lane in self._lanes)

    def _next_batch(self, size_max: int) -> list[RabbitDelivery]:
        if not self._is_bound:
            return []
        ward, queue = self._lanes
        batch: list[RabbitDelivery] = []
        for source in (self._again, ward.fresh, queue.fresh):
            while source and len(batch) < size_max:
                if (source[0].lane is ward) and batch:
                    return batch
                delivery = source.popleft()
                if delivery.is_answered:
                    continue
                if not self._is_wanted(delivery):
                    delivery.lane.acknowledge(delivery)
                    continue
                delivery.returns += self._returns_before.pop(delivery.id, 0)
                batch.append(delivery)
                if delivery.lane is ward:
                    return batch
        return batch

    def _is_wanted(self, delivery: RabbitDelivery) -> bool:
        """Bindings stay: what an earlier version of the service listened to comes still, and is of no concern."""
        return delivery.type is None or is_among(delivery.type, self._types)

    def _take_up_again(self) -> None:
        now = time.monotonic()
        while self._put_off_until and self._put_off_until[0][0] <= now:
            self._again.append(heapq.heappop(self._put_off_until)[2])
        for delivery, since in list(self._handed_out.items()):
            if delivery.is_answered:
                del self._handed_out[delivery]
            elif now - since >= ACK_WAIT_S:
                _log.warning("a message was not answered in time; it is handed out again", group=self._group)
                del self._handed_out[delivery]
                delivery.returns += 1
                self._again.append(delivery)

    async def _wait(self, seconds: float) -> None:
        now = time.monotonic()
        due = [self._put_off_until[0][0]] if self._put_off_until else []
        due += [since + ACK_WAIT_S for since in self._handed_out.values()]
        try:
            async with asyncio.timeout(max(min([now + seconds, *due]) - now, 0.0)):
                await self._arrived.wait()
        except TimeoutError:
            pass

    async def _put_off(self, delivery: RabbitDelivery, delay_s: float) -> None:
        if not delivery.lane.is_open:
            raise BrokerUnavailable("the connection that brought the message is gone")
        if self._handed_out.pop(delivery, None) is None:
            return  # Too late: it was handed out again meanwhile.
        delivery.returns += 1
        if time.monotonic() - delivery.received_at > HOLD_S_MAX:
            try:
                await self._renew(delivery)
                delivery.lane.acknowledge(delivery)
                return
            except BrokerUnavailable as error:
                _log.info("a message is held for longer than it should be", group=self._group, reason=str(error))
        heapq.heappush(self._put_off_until, (time.monotonic() + delay_s, next(self._numbers), delivery))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
