"""Who waits for the end of an order's saga within this process: the requests that placed it, or that cancelled it.

They are kept apart (`app.py`), since it matters to the mails whether the buyer hears of the end as the answer to the
purchase itself.
"""

import asyncio
from uuid import UUID

from orders.order import Order


class Waiting:
    """Several requests may wait for the same order."""

    def __init__(self) -> None:
        self._ends: dict[UUID, tuple[asyncio.Future[Order], int]] = {}

    def is_awaited(self, order_id: UUID) -> bool:
        return order_id in self._ends

    def ended(self, order: Order) -> None:
        """Tell all who wait for it."""
        if order.id in self._ends and not self._ends[order.id][0].done():
            self._ends[order.id][0].set_result(order)

    async def end_of(self, order_id: UUID, seconds: float) -> Order | None:
        """The order once its saga has ended, or None when it has not within `seconds`."""
        future, waiters = self._ends.get(order_id) or (asyncio.get_running_loop().create_future(), 0)
        self._ends[order_id] = (future, waiters + 1)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            return None
        finally:
            future, waiters = self._ends.pop(order_id)
            if waiters > 1:
                self._ends[order_id] = (future, waiters - 1)
