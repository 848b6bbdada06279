"""Gives the history to a queue that lacks it, while its group takes from the queue already.

An interrupted copy leaves its part in the queue, and the next copy begins anew behind it. If the group took nothing
before a copy is complete, a few interrupted copies would fill the queue for good, and a full queue refuses every
publisher. So the copy stays a bounded distance ahead of the group, and waits if the queue is full all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aio_pika.abc import AbstractConnection

from chassis.messaging.broker import BrokerUnavailable
from chassis.messaging.brokers.rabbitmq.connection import CLOSE_S_MAX, FAULTS
from chassis.messaging.brokers.rabbitmq.history import Copy, copy_history
from chassis.messaging.brokers.rabbitmq.topology import Topology

AHEAD_MAX = 4_000
"""That wait in the queue: with the largest messages that a relay makes, half of the bytes that the queue may hold."""
HEAD_START_S_MAX = 5.0
"""What came first shall be taken first, but a history that is slow to come does not hold up what is new."""
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 1.0
_OUTAGES: tuple[type[Exception], ...] = (BrokerUnavailable, *FAULTS)
_log = structlog.get_logger()


class Filling:
    """The copy for one queue, in the background from the start of its consumer on.

    `put` adds to the end of the queue and answers what the queue refused; `mark` puts a mark into the history.
    `is_taken` says whether the consumers that were there at the start still are: the server ends them along with their
    queue, so that as long as they live, what was copied is in this very queue.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        topology: Topology,
        group: str,
        types: Sequence[str],
        *,
        put: Callable[[Sequence[Copy]], Awaitable[list[Copy]]],
        mark: Callable[[str], Awaitable[None]],
        count_ready: Callable[[str], Awaitable[int]],
        is_taken: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._topology = topology
        self._group = group
        self._types = types
        self._queue = topology.queue(group)
        self._put = put
        self._mark = mark
        self._count_ready = count_ready
        self._is_taken = is_taken
        self._room = 0
        """How many more may be put before the queue is looked at again."""
        self._is_ahead = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"fill {self._queue}")

    async def wait_for_head_start(self) -> None:
        """Until the queue has the history, or so much of it that the rest waits for some to be taken."""
        try:
            async with asyncio.timeout(HEAD_START_S_MAX):
                await self._is_ahead.wait()
        except TimeoutError:
            _log.info("the history is slow to come; what is there is taken meanwhile", group=self._group)

    async def end(self) -> None:
        # A task that is cancelled within the client may go on as if nothing were; `is_taken` ends it then.
        self._task.cancel()
        await asyncio.wait([self._task], timeout=CLOSE_S_MAX)

    async def _run(self) -> None:
        pause_s = _PAUSE_S_MIN
        try:
            while self._is_taken():
                try:
                    return await self._fill()
                except _OUTAGES as error:
                    _log.info(
                        "the history is copied anew", group=self._group, reason=f"{type(error).__name__}: {error}"
                    )
                except Exception as error:
                    _log.warning("the history could not be copied; it is tried again", exc_info=error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        finally:
            self._is_ahead.set()

    async def _fill(self) -> None:
        # Each time: another replica may have done it meanwhile.
        if await self._topology.is_filled(self._connection, self._group):
            return
        _log.info("a new queue gets the history", group=self._group)
        copied = await copy_history(
            self._connection, self._topology.history, self._types, mark=self._mark, put=self._put_as_it_is_taken
        )
        self._insist_that_it_is_taken()
        await self._topology.mark_filled(self._connection, self._group)
        _log.info("a new queue has the history", group=self._group, messages=copied)

    async def _put_as_it_is_taken(self, messages: Sequence[Copy]) -> None:
        """Returns once the queue has all of them, however long it was full or out of reach."""
        pause_s = _PAUSE_S_MIN
        while messages:
            self._insist_that_it_is_taken()
            left = await self._put_what_has_room(messages)
            if len(left) < len(messages):
                pause_s = _PAUSE_S_MIN
            messages = left
            if messages:
                self._is_ahead.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    async def _put_what_has_room(self, messages: Sequence[Copy]) -> Sequence[Copy]:
        try:
            if self._room <= 0:
                self._room = AHEAD_MAX - await self._count_ready(self._queue)
            if self._room <= 0:
                return messages
            refused = await self._put(messages)
        except BrokerUnavailable:
            # The owner of the connection reports it. A copy that ended here would begin anew at the first message.
            return messages
        self._room -= len(messages) - len(refused)
        return refused

    def _insist_that_it_is_taken(self) -> None:
        if not self._is_taken():
            raise BrokerUnavailable("the queue may be another one by now")
