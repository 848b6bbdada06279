"""One batch in flight, in order, and no item suffers for another."""

import asyncio
from collections.abc import Sequence

import pytest

from chassis import context
from chassis.batching import Batcher
from chassis.problems import Conflict, Overloaded


class Work:
    """Doubles numbers, and waits before each batch until `go` lets it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(items))
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if any(item == 666 for item in items):
                raise RuntimeError("the whole batch is lost")
            return [Conflict(f"{item} is negative") if item < 0 else item * 2 for item in items]
        finally:
            self.in_flight -= 1


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def batcher(work: Work) -> Batcher[int, int]:
    return Batcher("doubles", work, size_max=4, queue_max=6)


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_single_item_waits_for_no_other(batcher: Batcher[int, int], work: Work) -> None:
    assert await batcher.submit(21) == 42
    assert work.batches == [[21]]


async def test_what_gathers_during_a_batch_goes_together_in_order(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    tasks = [asyncio.create_task(batcher.submit(0))]
    await _settle()
    tasks += [asyncio.create_task(batcher.submit(number)) for number in range(1, 6)]
    await _settle()
    work.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0], [1, 2, 3, 4], [5]]
    assert work.in_flight_max == 1


async def test_items_that_come_at_once_are_one_batch(batcher: Batcher[int, int], work: Work) -> None:
    assert await asyncio.gather(*(batcher.submit(number) for number in range(4))) == [0, 2, 4, 6]
    assert work.batches == [[0, 1, 2, 3]]


async def test_a_bad_item_fails_alone(batcher: Batcher[int, int]) -> None:
    answers = await asyncio.gather(*(batcher.submit(number) for number in (1, -1, 2)), return_exceptions=True)
    assert (answers[0], answers[2]) == (2, 4)
    assert isinstance(answers[1], Conflict)


async def test_a_batch_that_fails_as_a_whole_is_told_to_each_and_the_next_goes_on(batcher: Batcher[int, int]) -> None:
    answers = await asyncio.gather(*(batcher.submit(number) for number in (1, 666, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError] * 3
    assert await batcher.submit(3) == 6


async def test_each_submitter_raises_an_error_of_its_own(batcher: Batcher[int, int]) -> None:
    first, second = await asyncio.gather(batcher.submit(666), batcher.submit(1), return_exceptions=True)
    assert isinstance(first, RuntimeError)
    assert isinstance(second, RuntimeError)
    assert first is not second


async def test_answers_that_do_not_match_their_items_are_a_bug_told_to_each() -> None:
    async def one_short(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    with pytest.raises(AssertionError, match="answered 0 for 1 items"):
        await Batcher("short", one_short).submit(1)


async def test_more_than_may_wait_is_refused_at_once(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    tasks = [asyncio.create_task(batcher.submit(0))]
    await _settle()
    tasks += [asyncio.create_task(batcher.submit(number)) for number in range(6)]
    await _settle()
    with pytest.raises(Overloaded):
        await batcher.submit(7)
    work.gate.set()
    await asyncio.gather(*tasks)
    assert await batcher.submit(7) == 14


async def test_a_submitter_that_goes_away_takes_its_item_out(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await _settle()
    leaving, staying = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await _settle()
    leaving.cancel()
    work.gate.set()
    assert await staying == 4
    await first
    assert work.batches == [[0], [2]]


async def test_submitters_that_went_away_leave_room(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    first = asyncio.create_task(batcher.submit(0))
    await _settle()
    leaving = [asyncio.create_task(batcher.submit(number)) for number in range(6)]
    await _settle()
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    staying = asyncio.create_task(batcher.submit(8))
    await _settle()
    work.gate.set()
    assert await staying == 16
    await first


async def test_a_submitter_that_goes_away_in_flight_leaves_the_batch_alone(
    batcher: Batcher[int, int], work: Work
) -> None:
    work.gate.clear()
    leaving, staying = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await _settle()
    leaving.cancel()
    await _settle()
    work.gate.set()
    assert await staying == 4
    assert work.batches == [[1, 2]]


async def test_a_batch_is_not_in_the_context_of_who_came_first(work: Work) -> None:
    seen: list[str] = []

    async def look(items: Sequence[int]) -> Sequence[int]:
        seen.append(context.correlation_id())
        return items

    batcher = Batcher("contexts", look)
    with context.working_on("the-first", seconds=0.001):
        await batcher.submit(1)
    assert seen != ["the-first"]


async def test_a_deadline_of_one_submitter_does_not_bind_the_batches_of_others(work: Work) -> None:
    left: list[float | None] = []

    async def look(items: Sequence[int]) -> Sequence[int]:
        left.append(context.seconds_left())
        return items

    with context.working_on("the-first", seconds=0.001):
        await Batcher("deadlines", look).submit(1)
    assert left == [None]


async def test_draining_waits_for_all_that_was_taken(batcher: Batcher[int, int], work: Work) -> None:
    work.gate.clear()
    tasks = [asyncio.create_task(batcher.submit(number)) for number in range(6)]
    await _settle()
    draining = asyncio.create_task(batcher.drain())
    await _settle()
    assert not draining.done()
    work.gate.set()
    await draining
    assert all(task.done() for task in tasks) or await asyncio.gather(*tasks)
    assert sum(map(len, work.batches)) == 6
