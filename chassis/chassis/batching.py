"""Work that waits for the same step goes together: one call, one transaction, one commit for all of it.

Nothing waits for company: a batch leaves as soon as the one before it is back, with whatever has gathered by then.
At low load a batch is one item; at high load commits and calls are shared. Measured: one batch in flight is faster
than two or four, since batches grow instead of queueing at the same rows.
"""

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis import context
from chassis.problems import Overloaded
from chassis.telemetry import metrics, tracing

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
        self._waiting: OrderedDict[asyncio.Future[AnswerT], tuple[ItemT, str | None]] = OrderedDict()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: ItemT) -> AnswerT:
        """The answer for `item`. Raises `Overloaded` when `queue_max` items wait already.

        A submitter that is cancelled takes its item out, unless its batch has left already.
        """
        if len(self._waiting) >= self._queue_max:
            raise Overloaded
        future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting[future] = (item, context.traceparent())
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name=f"batches of {self._name}")
        try:
            return await future
        finally:
            self._waiting.pop(future, None)

    async def _run(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), self._size_max)
            batch = [self._waiting.popitem(last=False) for _ in range(size)]
            # A batch belongs to no one of its items: not to the id of the first, nor to its deadline or its actor.
            with (
                context.working_on(None),
                context.acting_as(None),
                tracing.together("internal", ((self._name, trace) for _, (_, trace) in batch)),
            ):
                await self._run_batch([(future, item) for future, (item, _) in batch])

    async def _run_batch(self, batch: list[tuple[asyncio.Future[AnswerT], ItemT]]) -> None:
        metrics.BATCH_SIZE.labels(self._name).observe(len(batch))
        try:
            answers = await self._work([item for _, item in batch])
            assert len(answers) == len(batch), f"{self._name} answered {len(answers)} for {len(batch)} items"
        except Exception as error:
            answers = [_copied(error) for _ in batch]
        except asyncio.CancelledError:
            for future, _ in batch:
                future.cancel()
            raise
        for (future, _), answer in zip(batch, answers, strict=True):
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


def _copied(error: Exception) -> Exception:
    # One error that is raised in many tasks would gather the tracebacks of all of them.
    try:
        copied = copy.copy(error)
    except TypeError:
        return error
    copied.__cause__ = error
    return copied
