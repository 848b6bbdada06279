"""Where a peer's replicas are: takes them in turn, and leaves alone one that failed until it says that it is ready.

Guarantee: as long as one replica is ready, one that died, froze or cannot be reached costs a caller one attempt, and
not one in each of its calls.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

REST_S = 0.5
"""Between the questions to one that rests."""


class Addresses:
    """The base addresses of one peer, as a setting gives them: separated by commas. `is_ready` asks one of them."""

    def __init__(self, urls: str, is_ready: Callable[[str], Awaitable[bool]]) -> None:
        self.all = tuple(url.strip().rstrip("/") for url in urls.split(","))
        self._in_turn = deque(self.all)
        self._is_ready = is_ready
        self._resting: dict[str, asyncio.Task[None]] = {}

    def next(self) -> str:
        """The one whose turn it is among those that do not rest, or among all when all do."""
        awake = (url for url in self._in_turn if url not in self._resting)
        chosen = next(awake, self._in_turn[0])
        self._in_turn.remove(chosen)
        self._in_turn.append(chosen)
        return chosen

    def failed(self, url: str) -> None:
        # An only one is taken whether it rests or not.
        if len(self.all) > 1 and url not in self._resting:
            self._resting[url] = asyncio.create_task(self._rest(url), name=f"rest of {url}")

    async def _rest(self, url: str) -> None:
        try:
            while True:
                await asyncio.sleep(REST_S)
                if await self._is_ready(url):
                    return
        finally:
            del self._resting[url]

    async def stop(self) -> None:
        resting = list(self._resting.values())
        for rest in resting:
            rest.cancel()
        await asyncio.gather(*resting, return_exceptions=True)
