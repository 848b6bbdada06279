"""The parts of a running service: started one after the other, each waiting for what it needs, stopped in reverse.

A service listens before its parts are up, so that it can report that it is alive and not ready yet. The operator may
start databases, brokers and services in any order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import stamina
import structlog

from chassis import context
from chassis.problems import OutcomeUnknown, Unavailable

STOP_S_MAX = 4.0
"""For all parts together. With the time that requests get to finish it stays below the ten seconds of a SIGTERM."""
_STOP_S_MIN = 0.1
_log = structlog.get_logger()


class Part(Protocol):
    """Something that a service runs: a pool, a relay, a consumer."""

    async def start(self) -> None:
        """Come up. May wait, with backoff and for as long as it takes, for what it needs."""

    async def stop(self) -> None:
        """Finish what is in hand and let go. Is called only after `start` was."""


class Parts:
    """Starts parts in the background and knows whether all of them are up."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._started: list[Part] = []
        self._starting: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    def begin(self) -> None:
        self._starting = asyncio.create_task(self._start_all(), name="start parts")

    async def _start_all(self) -> None:
        for part in self._parts:
            self._started.append(part)
            try:
                await part.start()
            except Exception as error:
                _log.error("the start failed for good", part=type(part).__name__, exc_info=error)
                raise
        self.ready.set()
        _log.info("ready")

    @property
    def failure(self) -> BaseException | None:
        """What ended the start for good, such as a migration that cannot be applied."""
        if self._starting is None or not self._starting.done() or self._starting.cancelled():
            return None
        return self._starting.exception()

    async def end(self) -> None:
        self.ready.clear()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        deadline = time.monotonic() + STOP_S_MAX
        for part in reversed(self._started):
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), _STOP_S_MIN)):
                    await part.stop()
            except Exception as error:
                _log.warning("a part did not stop in order", part=type(part).__name__, exc_info=error)


class Loop:
    """A `Part` that does one thing over and over, and goes on after errors with pauses that grow up to `pause_s_max`.

    An `Unavailable` is told in one line: what is away will come back. Any other error is told with its traceback.
    `turn` does one round and says whether there is likely more to do at once. Without more, the loop rests for
    `rest_s` or until `wake` is called, but for `gather_s` at least: what trickles in meanwhile goes together in the
    next round, while what comes alone after a pause is done at once. Where it does not cease, it is gathered for up to
    four times as long: a round costs about the same for one as for many.
    """

    PAUSE_S_MAX = 2.0
    GATHER_FACTOR_MAX = 4

    def __init__(
        self,
        name: str,
        turn: Callable[[], Awaitable[bool]],
        *,
        rest_s: float,
        gather_s: float = 0.0,
        pause_s_max: float = PAUSE_S_MAX,
    ) -> None:
        self._name = name
        self._turn = turn
        self._rest_s = rest_s
        self._gather_s = gather_s
        self._pause_s_max = pause_s_max
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Let the present round finish, within the time that a stop may take."""
        self._stopping.set()
        self._woken.set()
        if self._task is not None:
            try:
                async with asyncio.timeout(STOP_S_MAX / 2):
                    await asyncio.gather(self._task, return_exceptions=True)
            except TimeoutError:
                _log.warning("a loop was cut off in its round", loop=self._name)

    def wake(self) -> None:
        """There is something to do: do not rest."""
        self._woken.set()

    async def _run(self) -> None:
        pause_s = 0.1
        gather_factor = 1
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                with context.working_on(None):
                    more = await self._turn()
                pause_s = 0.1
            except (Exception, asyncio.CancelledError) as error:
                # A library may end a call by a CancelledError of its own, as the client of RabbitMQ does when its
                # connection is stuck. This task is not cancelled by that.
                if isinstance(error, asyncio.CancelledError) and is_cancelled():
                    raise
                self._tell(error)
                # Not until woken: new work does not mend what failed.
                await _rest(pause_s, until=self._stopping)
                pause_s = min(pause_s * 2, self._pause_s_max)
                continue
            if not more:
                await _rest(self._gather_s * gather_factor, until=self._stopping)
                gather_factor = min(gather_factor * 2, self.GATHER_FACTOR_MAX) if self._woken.is_set() else 1
                await _rest(self._rest_s, until=self._woken)
            elif not self._woken.is_set():
                gather_factor = 1

    def _tell(self, error: BaseException) -> None:
        if isinstance(error, Unavailable | OutcomeUnknown):
            _log.info("a loop waits", loop=self._name, error=f"{type(error).__name__}: {error}")
        else:
            _log.warning("a loop met an error and goes on", loop=self._name, exc_info=error)


def is_cancelled() -> bool:
    """Whether the present task itself is cancelled, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _rest(seconds: float, *, until: asyncio.Event) -> None:
    if seconds <= 0 or until.is_set():
        return
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        pass


async def keep_trying(what: str, attempt: Callable[[], Awaitable[None]], *, on: tuple[type[Exception], ...]) -> None:
    """Await `attempt` until it ends without one of `on`, with growing pauses of up to two seconds, for ever."""
    async for trial in stamina.retry_context(
        on=on, attempts=None, timeout=None, wait_initial=0.05, wait_max=2.0, wait_jitter=0.1
    ):
        with trial:
            try:
                await attempt()
            except on as error:
                _log.info("waiting", waits_for=what, attempt=trial.num, error=f"{type(error).__name__}: {error}")
                raise
