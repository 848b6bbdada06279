"""Work that waits for the same step goes together: one call, one transaction, one commit for all of it.

Nothing waits for company: a batch leaves as soon as the one before it is back, with whatever has gathered by then.
At low load a batch is one item; at high load commits and calls are shared. Measured: one batch in flight is faster
than two or four, since batches grow instead of queueing at the same rows.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis import metrics
from chassis.problems import Overloaded

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


class Batcher(Generic[ItemT, AnswerT]):
    """Gathers items and hands them to `work`, one batch at a time, in the order of their coming.

    `work` answers one for one, in order; an answer that is an exception is raised to that item's submitter alone. What
    `work` raises itself goes to all of its batch.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[ItemT]], Awaitable[Sequence[AnswerT | Exception]]],
        *,
        size_max: int = 256,
        queue_max: int = 10_000,
    ) -> None:
        self._name = name
        self._work = work
        self._size_max = size_max
        self._queue_max = queue_max
        self._waiting: deque[tuple[ItemT, asyncio.Future[AnswerT]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: ItemT) -> AnswerT:
        """The answer for `item`. Raises `Overloaded` when `queue_max` items wait already.

        A submitter that is cancelled takes its item out, unless its batch has left already.
        """
        if len(self._waiting) >= self._queue_max:
            raise Overloaded
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name=f"batches of {self._name}")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch: list[tuple[ItemT, asyncio.Future[AnswerT]]] = []
            while self._waiting and len(batch) < self._size_max:
                entry = self._waiting.popleft()
                if not entry[1].done():
                    batch.append(entry)
            if batch:
                await self._run_batch(batch)

    async def _run_batch(self, batch: list[tuple[ItemT, asyncio.Future[AnswerT]]]) -> None:
        metrics.BATCH_SIZE.labels(self._name).observe(len(batch))
        try:
            answers = await self._work([item for item, _ in batch])
            assert len(answers) == len(batch), f"{self._name} answered {len(answers)} for {len(batch)} items"
        except Exception as error:
            answers = [error] * len(batch)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def drain(self) -> None:
        """Wait until nothing waits any more."""
        while self._runner is not None and not self._runner.done():
            await asyncio.wait({self._runner})
