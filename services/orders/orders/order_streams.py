"""Streams an order: each event of its journal, in order, until it can change no more.

The journal is read by position, and states are not compared, so that two changes between two polls are two events. The
id of an event is its position: a client that reconnects sends the last one, and gets the events after it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from chassis.messaging import journal
from chassis.messaging.journal import Entry
from chassis.persistence.database import Connection, Database
from chassis.problems import Overloaded, Unauthenticated, Unavailable
from chassis.security.tokens import Caller, TokenVerifier
from orders import store
from orders.domain.order import Order, Status
from orders.errors import TooManyStreams, UnknownEventId

POLL_S = 0.5
STREAM_S_MAX = 600.0
POLLS_PER_KEEP_ALIVE = 30
_LAST = frozenset({"order.shipped", "order.cancelled"})


@dataclass(frozen=True, slots=True)
class Change:
    """An event of the order's journal, with the order and its status after that event."""

    position: int
    order: Order
    status: Status


Changes = AsyncGenerator[Change | None, None]
"""None: a keep-alive, after some time without a change."""


class OrderStreams:
    """Limits the open streams, in total and per user: each one polls with a small query twice a second."""

    def __init__(
        self, database: Database, verifier: TokenVerifier, *, streams_max: int, streams_per_user_max: int
    ) -> None:
        self._database = database
        self._verifier = verifier
        self._streams_max = streams_max
        self._streams_per_user_max = streams_per_user_max
        self._streams: Counter[UUID | None] = Counter()

    async def open(self, order_id: UUID, caller: Caller, last_event_id: str | None) -> Changes | None:
        """The last event of the order, or all after `last_event_id`, and then each new one. None when `last_event_id`
        is the last event possible.

        Ends after the last event, after ten minutes, or when the caller's token has expired or is revoked. Raises
        `UnknownEventId`, `TooManyStreams`, or `Overloaded` beyond the limit.
        """
        entries = await self._database.read(lambda connection: journal.history_of(connection, str(order_id)))
        if last_event_id:
            seen = next((entry.position for entry in entries if str(entry.position) == last_event_id), None)
            if seen is None:
                raise UnknownEventId
            if entries[-1].position == seen and entries[-1].type in _LAST:
                return None
        else:
            seen = entries[-2].position if len(entries) > 1 else 0
        changes = self._changes(order_id, caller, seen)
        await anext(changes)  # It is counted from here on, until the generator is closed.
        return changes

    async def _changes(self, order_id: UUID, caller: Caller, seen: int) -> Changes:
        with self._counted(caller.user_id):
            yield None
            deadline = time.monotonic() + STREAM_S_MAX
            silent_polls = 0
            while time.monotonic() < deadline and await self._is_still_allowed(caller):
                try:
                    changes = await self._database.read(lambda connection: _changes_after(connection, order_id, seen))  # noqa: B023
                except Unavailable:
                    return  # The client reconnects, and continues after its last event.
                for change, is_last in changes:
                    yield change
                    if is_last:
                        return
                    seen = change.position
                silent_polls = 0 if changes else silent_polls + 1
                if silent_polls and silent_polls % POLLS_PER_KEEP_ALIVE == 0:
                    yield None
                await asyncio.sleep(POLL_S)

    @contextmanager
    def _counted(self, user_id: UUID | None) -> Iterator[None]:
        if self._streams.total() >= self._streams_max:
            raise Overloaded("Too many clients follow orders already.")
        if self._streams[user_id] >= self._streams_per_user_max:
            raise TooManyStreams
        self._streams[user_id] += 1
        try:
            yield
        finally:
            self._streams[user_id] -= 1
            if not self._streams[user_id]:
                del self._streams[user_id]

    async def _is_still_allowed(self, caller: Caller) -> bool:
        try:
            await self._verifier.confirm(caller)
        except (Unauthenticated, Unavailable):
            return False
        return True


async def _changes_after(connection: Connection, order_id: UUID, seen: int) -> list[tuple[Change, bool]]:
    """The changes after `seen`, each with whether it is the last one possible."""
    entries = await journal.history_of(connection, str(order_id), after=seen)
    if not entries:
        return []
    order = await store.orders.by_id(connection, order_id)
    assert order is not None, "orders are never deleted"
    return [(_change(entry, order), entry.type in _LAST) for entry in entries]


def _change(entry: Entry, order: Order) -> Change:
    match entry.type:
        case "order.placed":
            return Change(entry.position, order.as_placed(), Status.PENDING)
        case "order.confirmed":
            return Change(entry.position, order, Status.CONFIRMED)
        case _:
            return Change(entry.position, order, order.status)  # The last event: the order has not changed since.
