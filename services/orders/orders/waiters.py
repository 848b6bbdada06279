"""The requests of this process that wait for the end of an order's saga.

`app.py` makes one set for purchases and one for cancellations: only a purchase that waits reports a refusal to the
customer, and so replaces the notification (`saga_store.py`).
"""

import asyncio
from uuid import UUID

from orders.domain.order import Order


class Waiters:
    """Several requests may wait for the same order, each for at most `wait_s`.

    All wait equally long, so they time out in the order of their arrival and share one timer. A timer per request is a
    tenth of the CPU time of a purchase in this process.
    """

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        self._waiters: dict[UUID, list[asyncio.Future[Order | None]]] = {}
        self._deadlines: dict[asyncio.Future[Order | None], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def has_waiter(self, order_id: UUID) -> bool:
        return order_id in self._waiters

    def notify(self, order: Order) -> None:
        """Resolve all requests that wait for the order."""
        for future in self._waiters.get(order.id, ()):
            if not future.done():
                future.set_result(order)

    async def wait_for_end(self, order_id: UUID) -> Order | None:
        """The order when its saga has ended, or None after `wait_s`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Order | None] = loop.create_future()
        self._waiters.setdefault(order_id, []).append(future)
        self._deadlines[future] = loop.time() + self.wait_s
        if self._timer is None:
            self._timer = loop.call_later(self.wait_s, self._time_out)
        try:
            return await future
        finally:
            del self._deadlines[future]
            self._waiters[order_id].remove(future)
            if not self._waiters[order_id]:
                del self._waiters[order_id]

    def _time_out(self) -> None:
        """Resolve the requests whose time is over with None, and set the timer for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for future, deadline in self._deadlines.items():
            if deadline > now:
                self._timer = loop.call_at(deadline, self._time_out)
                return
            if not future.done():
                future.set_result(None)
