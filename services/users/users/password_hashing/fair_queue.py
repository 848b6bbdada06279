"""A queue for few places that serves one source after the other, so that no source can keep the others waiting.

Each source has a line of its own. A free place goes to the next line, and there to the request that came first. The
queue is bounded: when it is full, a request takes the place of the newest one of the longest line, unless its own line
is as long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis import context
from chassis.problems import Overloaded


class FairQueue:
    """At most `places` requests are served at once, and at most `waiting_max` wait, none longer than `wait_s_max`."""

    def __init__(self, places: int, *, waiting_max: int, wait_s_max: float) -> None:
        self._free = places
        self._waiting_max = waiting_max
        self._wait_s_max = wait_s_max
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}
        """In the order in which they are served next. None is empty."""

    @property
    def waiting(self) -> int:
        return sum(map(len, self._lines.values()))

    @asynccontextmanager
    async def place(self, source: str) -> AsyncIterator[None]:
        """A place, for as long as the block runs. Raises `Overloaded`."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(source)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, source: str) -> None:
        if self.waiting >= self._waiting_max:
            self._displace_for(source)
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(source, deque()).append(turn)
        left = context.seconds_left()
        try:
            async with asyncio.timeout(self._wait_s_max if left is None else min(left, self._wait_s_max)):
                await turn
        except TimeoutError:
            self._leave(source, turn)
            raise Overloaded("The requests before this one take too long.") from None
        except asyncio.CancelledError:
            self._leave(source, turn)
            raise

    def _displace_for(self, source: str) -> None:
        longest = max(self._lines, key=lambda name: len(self._lines[name]))
        if len(self._lines[longest]) <= len(self._lines.get(source, ())):
            raise Overloaded
        displaced = self._lines[longest][-1]
        self._remove(longest, displaced)
        if not displaced.done():  # Else it has given up already, and leaves.
            displaced.set_exception(Overloaded())

    def _leave(self, source: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            # The place, or the refusal, came at the same moment.
            if turn.exception() is None:
                self._pass_on()
            return
        self._remove(source, turn)

    def _remove(self, source: str, turn: "asyncio.Future[None]") -> None:
        """Take a request out of its line, unless it has left the line already."""
        line = self._lines.get(source)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[source]

    def _pass_on(self) -> None:
        """Give the place to the next line, which then goes to the end."""
        while self._lines:
            source = next(iter(self._lines))
            line = self._lines.pop(source)
            turn = line.popleft()
            if line:
                self._lines[source] = line
            if not turn.done():  # Else it gave up in this round of the event loop, and has not left yet.
                turn.set_result(None)
                return
        self._free += 1
