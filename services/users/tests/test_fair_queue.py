"""A queue for few places: sources take turns, and none of them fills it. No I/O."""

import asyncio
from collections.abc import Callable

import pytest

from chassis import context
from chassis.problems import Overloaded
from users.fair_queue import FairQueue


class Crowd:
    """Requests of several sources, each of which is served for as long as the test says."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.next = asyncio.Semaphore(0)

    async def come(self, source: str, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._one(source)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    async def serve(self, count: int) -> None:
        for _ in range(count):
            self.next.release()
            for _ in range(5):
                await asyncio.sleep(0)

    async def _one(self, source: str) -> None:
        async with self.queue.slot(source):
            self.served.append(source)
            await self.next.acquire()


def queue(waiting_max: int = 10_000, wait_s_max: float = 60.0) -> FairQueue:
    return FairQueue(1, waiting_max=waiting_max, wait_s_max=wait_s_max)


async def test_a_source_with_a_thousand_requests_does_not_keep_another_waiting() -> None:
    crowd = Crowd(queue())
    await crowd.come("many", 1000)
    await crowd.come("few", 2)
    await crowd.serve(5)
    assert crowd.served == ["many", "many", "few", "many", "few", "many"]
    await crowd.serve(1000)
    assert crowd.served.count("many") == 1000


async def test_a_full_queue_takes_a_newcomer_in_place_of_the_newest_of_the_longest_line() -> None:
    crowd = Crowd(queue(waiting_max=4))
    await crowd.come("many")
    waiting = await crowd.come("many", 4)
    (one_more,) = await crowd.come("many")
    with pytest.raises(Overloaded):
        await one_more
    (few,) = await crowd.come("few")
    with pytest.raises(Overloaded):
        await waiting[-1]
    assert crowd.queue.waiting == 4
    await crowd.serve(5)
    await few
    assert crowd.served == ["many", "many", "few", "many", "many"]


async def test_a_full_queue_of_short_lines_refuses_the_newcomer() -> None:
    crowd = Crowd(queue(waiting_max=2))
    await crowd.come("first")
    await crowd.come("second")
    await crowd.come("third")
    (fourth,) = await crowd.come("third")
    with pytest.raises(Overloaded):
        await fourth
    await crowd.serve(3)
    assert crowd.served == ["first", "second", "third"]


async def test_a_full_queue_of_single_requests_gives_one_place_to_a_newcomer_and_goes_on() -> None:
    crowd = Crowd(queue(waiting_max=2))
    await crowd.come("first")
    (second,) = await crowd.come("second")
    await crowd.come("third")
    await crowd.come("fourth")
    with pytest.raises(Overloaded):
        await second
    await crowd.serve(3)
    await crowd.come("fifth")
    assert crowd.served == ["first", "third", "fourth", "fifth"]


async def test_a_request_that_gives_up_as_a_place_comes_free_does_not_lose_the_place() -> None:
    crowd = Crowd(queue())
    await crowd.come("first")
    (second,) = await crowd.come("second")
    crowd.next.release()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await crowd.serve(1)
    await crowd.come("third")
    assert crowd.served == ["first", "third"]


@pytest.mark.parametrize("leave", [lambda task: task.cancel(), lambda _: None])
async def test_a_request_that_gives_up_leaves_its_place_to_the_others(
    leave: Callable[[asyncio.Task[None]], object],
) -> None:
    crowd = Crowd(queue(wait_s_max=0.2))
    await crowd.come("first")
    (second,) = await crowd.come("second")
    leave(second)
    with pytest.raises((Overloaded, asyncio.CancelledError)):
        await second
    assert crowd.queue.waiting == 0
    await crowd.serve(1)
    await crowd.come("third")
    await crowd.serve(1)
    assert crowd.served == ["first", "third"]


async def test_a_place_that_comes_together_with_a_cancellation_is_passed_on() -> None:
    crowd = Crowd(queue())
    await crowd.come("first")
    (second,) = await crowd.come("second")
    (third,) = await crowd.come("third")
    crowd.next.release()
    while "first" in crowd.served and crowd.queue.waiting == 2:
        await asyncio.sleep(0)
    second.cancel()
    await crowd.serve(2)
    await third
    assert second.cancelled()
    assert crowd.served == ["first", "third"]


async def test_a_wait_ends_at_the_deadline_of_the_request() -> None:
    crowd = Crowd(queue())
    await crowd.come("first")
    with context.working_on(None, seconds=0.1):
        async with asyncio.timeout(5):
            with pytest.raises(Overloaded):
                async with crowd.queue.slot("second"):
                    pytest.fail("the place is taken")
    await crowd.serve(1)
