"""Who waits for the end of an order's saga within this process: the requests that placed it, or that cancelled it.

They are kept apart (`app.py`), since it matters to the mails whether the buyer hears of the end as the answer to the
purchase itself.
"""

import asyncio
from uuid import UUID

from orders.domain.order import Order


class Waiting:
    """Several requests may wait for the same order, each up to `seconds`.

    All wait equally long, so whoever came first is done first, and one timer serves for all: one for each request is a
    tenth of what a purchase costs this process.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[UUID, list[asyncio.Future[Order | None]]] = {}
        self._deadlines: dict[asyncio.Future[Order | None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_awaited(self, order_id: UUID) -> bool:
        return order_id in self._waiting

    def ended(self, order: Order) -> None:
        """Tell all who wait for it."""
        for future in self._waiting.get(order.id, ()):
            if not future.done():
                future.set_result(order)

    async def end_of(self, order_id: UUID) -> Order | None:
        """The order once its saga has ended, or None when it has not within `seconds`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Order | None] = loop.create_future()
        self._waiting.setdefault(order_id, []).append(future)
        self._deadlines[future] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._give_up)
        try:
            return await future
        finally:
            del self._deadlines[future]
            self._waiting[order_id].remove(future)
            if not self._waiting[order_id]:
                del self._waiting[order_id]

    def _give_up(self) -> None:
        """Let go of those who have waited long enough, and come back for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for future, deadline in self._deadlines.items():
            if deadline > now:
                self._timer = loop.call_at(deadline, self._give_up)
                return
            if not future.done():
                future.set_result(None)
