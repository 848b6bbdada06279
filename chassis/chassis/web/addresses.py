"""Where a peer's replicas are: takes them in turn, and leaves alone one that failed until it says that it is ready.

Guarantee: as long as one replica is ready, one that died, froze or cannot be reached costs a caller one attempt, and
not one in each of its calls. Replicas are the addresses that a setting lists, or those that stand behind a name, as
container platforms keep them.
"""

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import structlog

REST_S = 0.5
"""Between the questions to one that rests."""
LOOK_S = 1.0
"""Between two looks at who stands behind a name: replicas come and go with their addresses."""
LOOKUP_S_MAX = 2.0
KEPT_S_MAX = 10.0
"""For so long the last addresses serve when a name cannot be looked up. The failure may be brief. But some platforms
answer the same for a name that is gone, and its address may soon belong to another service."""
_log = structlog.get_logger()

LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""The numeric addresses behind a name, for connections to this port. Raises OSError."""


class Addresses:
    """The base addresses of one peer, as a setting gives them: separated by commas. `is_ready` asks one of them.

    A `Part`. Until it is started, and while a name cannot be looked up, a name is an address as it stands. `tell` hears
    which addresses have gone and which have come.
    """

    def __init__(
        self,
        urls: str,
        is_ready: Callable[[str], Awaitable[bool]],
        *,
        tell: Callable[[set[str], set[str]], None] | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        self._given = tuple(url.strip().rstrip("/") for url in urls.split(","))
        self._is_ready = is_ready
        self._tell = tell
        self._look_up = look_up or _addresses_behind
        self._behind: dict[str, tuple[str, ...]] = {url: (url,) for url in self._given}
        self._found_at: dict[str, float] = {}
        self.all = self._given
        self._in_turn = deque(self.all)
        self._resting: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if any(_is_by_name(url) for url in self._given):
            self._looking = asyncio.create_task(self._keep_looking(), name=f"look up {','.join(self._given)}")

    def next(self) -> str:
        """The one whose turn it is among those that do not rest, or among all when all do."""
        awake = (url for url in self._in_turn if url not in self._resting)
        chosen = next(awake, self._in_turn[0])
        self._in_turn.remove(chosen)
        self._in_turn.append(chosen)
        return chosen

    def failed(self, url: str) -> None:
        # An only one is taken whether it rests or not, and one that is gone needs no rest.
        if len(self.all) > 1 and url in self.all and url not in self._resting:
            self._resting[url] = asyncio.create_task(self._rest(url), name=f"rest of {url}")

    async def _rest(self, url: str) -> None:
        try:
            while True:
                await asyncio.sleep(REST_S)
                if url not in self.all or await self._is_ready(url):
                    return
        finally:
            del self._resting[url]

    async def _keep_looking(self) -> None:
        while True:
            for url in self._given:
                if _is_by_name(url):
                    self._behind[url] = await self._found_behind(url)
            self._take(tuple(dict.fromkeys(found for url in self._given for found in self._behind[url])))
            await asyncio.sleep(LOOK_S)

    async def _found_behind(self, url: str) -> tuple[str, ...]:
        parts = urlsplit(url)
        assert parts.hostname is not None, "it is by name"
        try:
            async with asyncio.timeout(LOOKUP_S_MAX):
                found = await self._look_up(parts.hostname, parts.port or 80)
        except (OSError, TimeoutError) as error:
            is_gone = isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN
            is_old = time.monotonic() - self._found_at.get(url, -KEPT_S_MAX) > KEPT_S_MAX
            return (url,) if is_gone or is_old else self._behind[url]
        self._found_at[url] = time.monotonic()
        hosts = (f"[{address}]" if ":" in address else address for address in sorted(found))
        return tuple(f"http://{host}:{parts.port or 80}{parts.path}" for host in hosts) or (url,)

    def _take(self, found: tuple[str, ...]) -> None:
        if found == self.all:
            return
        _log.info("replicas have changed", were=self.all, are=found)
        if self._tell is not None:
            self._tell(set(self.all) - set(found), set(found) - set(self.all))
        self.all = found
        # Those that stay keep their turn, and a new one is the next.
        stay = [url for url in self._in_turn if url in found]
        self._in_turn = deque([*(url for url in found if url not in stay), *stay])

    async def stop(self) -> None:
        tasks = [*self._resting.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _is_by_name(url: str) -> bool:
    """Whether there is a name to look up. A certificate is for the name, so an https:// address stays as it is."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return True
    return False


async def _addresses_behind(name: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    by_family = {family: {str(entry[4][0]) for entry in found if entry[0] == family} for family, *_ in found}
    # A replica that has addresses of both kinds shall not count as two.
    return sorted(by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6) or ())
