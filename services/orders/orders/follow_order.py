"""Follows an order: tells each change of its status as it happens, until there will be no more for now."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from chassis.database import Database
from chassis.problems import Overloaded
from orders import store
from orders.order import Order, Status

POLL_S = 0.5
FOLLOW_S_MAX = 600.0
POLLS_PER_SIGN_OF_LIFE = 30
_LAST = frozenset({Status.SHIPPED, Status.CANCELLED, Status.REFUSED})


class OrderFollower:
    """Bounds how many follow at once: each costs a small query twice a second."""

    def __init__(self, database: Database, *, streams_max: int) -> None:
        self._database = database
        self._streams_max = streams_max
        self._streams = 0

    async def follow(self, order: Order) -> AsyncIterator[Order | None]:
        """The order as it stands, and again after each change, until it can change no more or ten minutes are over.

        None says that nothing has changed for a while. Raises `Overloaded` when too many follow already.
        """
        if self._streams >= self._streams_max:
            raise Overloaded("Too many clients follow orders already.")
        return self._changes(order)

    async def _changes(self, order: Order) -> AsyncIterator[Order | None]:
        self._streams += 1
        try:
            yield order
            silent_polls = 0
            async with asyncio.timeout(FOLLOW_S_MAX):
                while order.status not in _LAST:
                    await asyncio.sleep(POLL_S)
                    now = await self._reread(order.id)
                    silent_polls = 0 if now.status is not order.status else silent_polls + 1
                    if silent_polls == 0:
                        yield now
                    elif silent_polls % POLLS_PER_SIGN_OF_LIFE == 0:
                        yield None
                    order = now
        except TimeoutError:
            return
        finally:
            self._streams -= 1

    async def _reread(self, order_id: UUID) -> Order:
        order = await self._database.read(lambda connection: store.by_id(connection, order_id))
        assert order is not None, "orders are never deleted"
        return order
