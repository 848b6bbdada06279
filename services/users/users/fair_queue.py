"""Fair queueing for few slots: sources are served round robin, so that no source can keep the others waiting.

Each source has a first-in-first-out queue of its own, its flow. A free slot goes to the next flow, and there to the
oldest request. The total is bounded: at the bound a new request displaces the newest one of the longest flow, or is
refused when its own flow is as long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import context
from chassis.problems import Overloaded


class FairQueue:
    """Serves at most `slots` requests at once. At most `waiting_max` wait, each for at most `wait_s_max`."""

    def __init__(self, slots: int, *, waiting_max: int, wait_s_max: float) -> None:
        self._free = slots
        self._waiting_max = waiting_max
        self._wait_s_max = wait_s_max
        self._flows: dict[str, deque[asyncio.Future[None]]] = {}
        """By source, in the order in which they are served next. None is empty."""

    @property
    def waiting(self) -> int:
        return sum(map(len, self._flows.values()))

    @asynccontextmanager
    async def slot(self, source: str) -> AsyncIterator[None]:
        """Hold a slot while the block runs. Raises `Overloaded`."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(source)
        try:
            yield
        finally:
            self._hand_over()

    async def _wait(self, source: str) -> None:
        if self.waiting >= self._waiting_max:
            self._displace_for(source)
        waiter = asyncio.get_running_loop().create_future()
        self._flows.setdefault(source, deque()).append(waiter)
        left_s = context.seconds_left()
        try:
            async with asyncio.timeout(self._wait_s_max if left_s is None else min(left_s, self._wait_s_max)):
                await waiter
        except TimeoutError:
            self._leave(source, waiter)
            raise Overloaded("The queue of requests is too long.") from None
        except asyncio.CancelledError:
            self._leave(source, waiter)
            raise

    def _displace_for(self, source: str) -> None:
        longest = max(self._flows, key=lambda name: len(self._flows[name]))
        if len(self._flows[longest]) <= len(self._flows.get(source, ())):
            raise Overloaded
        displaced = self._flows[longest][-1]
        self._remove(longest, displaced)
        if not displaced.done():  # Else it has timed out already, and leaves by itself.
            displaced.set_exception(Overloaded())

    def _leave(self, source: str, waiter: "asyncio.Future[None]") -> None:
        if waiter.done() and not waiter.cancelled():
            # The slot or the refusal arrived at the same moment.
            if waiter.exception() is None:
                self._hand_over()
            return
        self._remove(source, waiter)

    def _remove(self, source: str, waiter: "asyncio.Future[None]") -> None:
        """Take the waiter out of its flow, unless it has left already."""
        flow = self._flows.get(source)
        if flow is not None and waiter in flow:
            flow.remove(waiter)
            if not flow:
                del self._flows[source]

    def _hand_over(self) -> None:
        """Give the slot to the next flow, which then moves to the end."""
        while self._flows:
            source = next(iter(self._flows))
            flow = self._flows.pop(source)
            waiter = flow.popleft()
            if flow:
                self._flows[source] = flow
            if not waiter.done():  # Else it timed out in this iteration of the event loop, and has not left yet.
                waiter.set_result(None)
                return
        self._free += 1
