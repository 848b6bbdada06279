"""Takes events in batches, gives them their effect in one transaction with the inbox, and only then acknowledges.

When a batch fails, its events are tried one by one, so that a bad one spoils nothing for the others. What fails for
good goes to the dead letters with its reason; what a dependency's absence made fail is handed out again later.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias
from uuid import UUID

import msgspec
import structlog

from chassis import context, failpoint
from chassis.lifecycle import Loop
from chassis.messaging import envelope, inbox
from chassis.messaging.broker import Broker, BrokerUnavailable, Delivery, Subscription
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection, Database
from chassis.problems import OutcomeUnknown, Unavailable
from chassis.telemetry import metrics, tracing

MESSAGES_MAX = 64
EVENTS_MAX = 500
"""In one transaction. A message is never split over two, so it may be somewhat more."""
FETCH_WAIT_S = 0.25
"""A stop waits for the fetch in hand: giving it up would leave what it brings unacknowledged for half a minute."""
ATTEMPTS_MAX = 5
GATHER_S = 0.1
"""No client waits for the effect of an event, and a transaction for many costs little more than one for each."""
AT_ONCE_S = 0.05
"""A fetch that takes less has not waited."""
RETURN_DELAY_S = 1.0
WATCH_S = 5.0
"""Between two looks at how much waits, which is for the metrics alone."""
_log = structlog.get_logger()

Letter: TypeAlias = tuple[Delivery, Sequence[Envelope]]
"""A message, and the events in it that could be read."""
Handle: TypeAlias = Callable[[Connection, Sequence[Envelope]], Awaitable[None]]
"""Gives a batch of events their effect, within the transaction of the connection. Events come in the order of their
arrival, which need not be that of their happening."""


class NobodySurvives(Exception):
    """The reason of a dead letter that was given up by the broker, and not by its handler."""


class Consumer:
    """A `Part`. `after_commit` is called when a batch took effect, to wake the workers that continue from there."""

    def __init__(
        self,
        *,
        group: str,
        types: Sequence[str],
        broker: Broker,
        database: Database,
        handle: Handle,
        after_commit: Callable[[], None] | None = None,
    ) -> None:
        self._group = group
        self._types = types
        self._broker = broker
        self._database = database
        self._handle = handle
        self._after_commit = after_commit
        self._subscription: Subscription | None = None
        self._loop = Loop(f"consumer {group}", self._turn, rest_s=0.0, gather_s=GATHER_S)
        self._watch = Loop(f"watch of {group}", self._look, rest_s=WATCH_S)

    async def start(self) -> None:
        # The subscription is made in the loop: a service is ready to serve while its broker is still away.
        await self._loop.start()
        await self._watch.start()

    async def stop(self) -> None:
        await self._watch.stop()
        await self._loop.stop()

    async def redrive(self, event_id: UUID, also: Callable[[Connection], Awaitable[None]]) -> bool:
        """Give a dead letter its effect after all, and do `also` in the same transaction. False when there is none.

        What the handler raises is the caller's to tell; the letter stays then.
        """

        async def work(connection: Connection) -> bool:
            body = await inbox.take_dead_letter(connection, event_id)
            if body is None:
                return False
            event = envelope.decode(body)
            with context.working_on(event.correlationid, event.traceparent), _spans_of([event]):
                await self._handle(connection, [event])
            await also(connection)
            return True

        was_there = await self._database.run(work)
        if was_there and self._after_commit is not None:
            self._after_commit()
        return was_there

    async def _turn(self) -> bool:
        if self._subscription is None:
            self._subscription = await self._broker.subscribe(self._group, self._types)
        asked_at = time.monotonic()
        deliveries = await self._subscription.fetch(MESSAGES_MAX, FETCH_WAIT_S)
        if deliveries:
            if time.monotonic() - asked_at < AT_ONCE_S:
                self._loop.wake()  # They came while it rested, so more is likely to come.
            await self._take(deliveries)
        # An empty fetch has waited already.
        return not deliveries or len(deliveries) == MESSAGES_MAX

    async def _look(self) -> bool:
        metrics.DEAD_LETTERS_KEPT.labels(self._group).set(await self._database.read(inbox.count_dead_letters))
        if self._subscription is not None:
            metrics.MESSAGES_WAITING.labels(self._group).set(await self._subscription.pending())
        return False

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        rest: list[Letter] = []
        for delivery in deliveries:
            letter = (delivery, self._read(delivery))
            if delivery.given_up:
                await self._keep(*letter)
            else:
                rest.append(letter)
        while rest:
            count, batch = 0, list[Letter]()
            while rest and count < EVENTS_MAX:
                batch.append(rest.pop(0))
                count += len(batch[-1][1])
            try:
                await self._give_effect([event for _, events in batch for event in events])
            except (Unavailable, OutcomeUnknown) as refusal:
                await self._return([*batch, *rest], refusal)
                return
            except Exception as error:
                _log.warning("a batch of events failed; trying one by one", group=self._group, exc_info=error)
                for delivery, events in batch:
                    await self._take_one_by_one(delivery, events)
            else:
                for delivery, events in batch:
                    await _acknowledge(delivery, events)

    def _read(self, delivery: Delivery) -> list[Envelope]:
        events: list[Envelope] = []
        for event in envelope.split(delivery.body):
            try:
                events.append(envelope.decode(event))
            except msgspec.MsgspecError as error:
                # Not an event of ours at all: there is no id to keep it under, and no repeat will help.
                _log.error("a message that is no event was dropped", group=self._group, error=str(error))
                metrics.DEAD_LETTERS.labels(self._group, "unreadable").inc()
        return events

    async def _take_one_by_one(self, delivery: Delivery, events: Sequence[Envelope]) -> None:
        try_again: Exception | None = None
        for event in events:
            try:
                await self._give_effect([event])
            except (Unavailable, OutcomeUnknown) as refusal:
                await self._return([(delivery, events)], refusal)
                return
            except Exception as error:
                # A shape that does not fit will not fit next time either; a bug may be in a race, and gets some tries.
                if isinstance(error, msgspec.ValidationError) or delivery.attempt >= ATTEMPTS_MAX:
                    await self._bury(delivery, event, error)
                else:
                    try_again = error
        if try_again is None:
            await _acknowledge(delivery, events)
        else:
            await self._return([(delivery, events)], try_again)

    async def _keep(self, delivery: Delivery, events: Sequence[Envelope]) -> None:
        """Put an event that ends each of its consumers among the dead letters, without another try."""
        for event in events:
            await self._bury(delivery, event, NobodySurvives("whoever took it ended before answering"))
        await _acknowledge(delivery, events)

    async def _give_effect(self, events: Sequence[Envelope]) -> None:
        if not events:
            return

        async def work(connection: Connection) -> list[Envelope]:
            new = await inbox.take_new(connection, [event.id for event in events])
            taken: list[Envelope] = []
            for event in events:
                if event.id in new:
                    new.discard(event.id)  # The same event twice in one batch is a repetition too.
                    taken.append(event)
            if taken:
                await self._handle(connection, taken)
                for event in taken:
                    failpoint.hit(event.type, "before commit")
            return taken

        with context.working_on(events[0].correlationid, events[0].traceparent), _spans_of(events):
            taken = await self._database.run(work)
        metrics.EVENTS_REPEATED.labels(self._group).inc(len(events) - len(taken))
        for type_, count in Counter(event.type for event in taken).items():
            metrics.EVENTS_HANDLED.labels(self._group, type_).inc(count)
        if taken and self._after_commit is not None:
            self._after_commit()

    async def _bury(self, delivery: Delivery, event: Envelope, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"

        async def work(connection: Connection) -> bool:
            if not await inbox.take_new(connection, [event.id]):
                return False  # It had its effect, at another time or by another replica.
            await inbox.dead_letter(connection, event, event.body, reason=reason, attempts=delivery.attempt)
            return True

        if not await self._database.run(work):
            return
        metrics.DEAD_LETTERS.labels(self._group, event.type).inc()
        _log.error(
            "an event failed for good and is a dead letter now",
            group=self._group,
            event_id=str(event.id),
            event_type=event.type,
            correlation_id=event.correlationid,
            exc_info=error,
        )

    async def _return(self, letters: Sequence[Letter], reason: Exception) -> None:
        count = sum(len(events) for _, events in letters)
        _log.info("events are handed back for later", group=self._group, count=count, reason=str(reason))
        for delivery, _ in letters:
            try:
                await delivery.return_later(RETURN_DELAY_S)
            except BrokerUnavailable:
                return  # The broker hands them out again by itself once their time is up.


def _spans_of(events: Sequence[Envelope]) -> AbstractContextManager[object]:
    return tracing.together("consumer", ((f"consume {event.type}", event.traceparent) for event in events))


async def _acknowledge(delivery: Delivery, events: Sequence[Envelope]) -> None:
    for event in events:
        failpoint.hit(event.type, "before acknowledgement")
    await delivery.acknowledge()
    for event in events:
        failpoint.hit(event.type, "after acknowledgement")
