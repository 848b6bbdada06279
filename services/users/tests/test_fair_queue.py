"""The fair queue: sources are served round robin, and none of them fills it. No I/O."""

import asyncio
from collections.abc import Callable

import pytest

from chassis import context
from chassis.problems import Overloaded
from users.fair_queue import FairQueue


class Requests:
    """Requests of several sources, each of which holds its slot until the test releases it."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self.next = asyncio.Semaphore(0)

    async def arrive(self, source: str, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._one(source)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    async def finish(self, count: int) -> None:
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
    requests = Requests(queue())
    await requests.arrive("many", 1000)
    await requests.arrive("few", 2)
    await requests.finish(5)
    assert requests.served == ["many", "many", "few", "many", "few", "many"]
    await requests.finish(1000)
    assert requests.served.count("many") == 1000


async def test_a_new_request_displaces_the_newest_of_the_longest_flow_of_a_full_queue() -> None:
    requests = Requests(queue(waiting_max=4))
    await requests.arrive("many")
    waiting = await requests.arrive("many", 4)
    (one_more,) = await requests.arrive("many")
    with pytest.raises(Overloaded):
        await one_more
    (few,) = await requests.arrive("few")
    with pytest.raises(Overloaded):
        await waiting[-1]
    assert requests.queue.waiting == 4
    await requests.finish(5)
    await few
    assert requests.served == ["many", "many", "few", "many", "many"]


async def test_a_full_queue_of_short_flows_refuses_a_new_request() -> None:
    requests = Requests(queue(waiting_max=2))
    await requests.arrive("first")
    await requests.arrive("second")
    await requests.arrive("third")
    (fourth,) = await requests.arrive("third")
    with pytest.raises(Overloaded):
        await fourth
    await requests.finish(3)
    assert requests.served == ["first", "second", "third"]


async def test_a_full_queue_of_single_requests_admits_one_of_a_new_source_and_goes_on() -> None:
    requests = Requests(queue(waiting_max=2))
    await requests.arrive("first")
    (second,) = await requests.arrive("second")
    await requests.arrive("third")
    await requests.arrive("fourth")
    with pytest.raises(Overloaded):
        await second
    await requests.finish(3)
    await requests.arrive("fifth")
    assert requests.served == ["first", "third", "fourth", "fifth"]


async def test_a_slot_that_is_free_as_its_request_is_cancelled_is_not_lost() -> None:
    requests = Requests(queue())
    await requests.arrive("first")
    (second,) = await requests.arrive("second")
    requests.next.release()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await requests.finish(1)
    await requests.arrive("third")
    assert requests.served == ["first", "third"]


@pytest.mark.parametrize("leave", [lambda task: task.cancel(), lambda _: None])
async def test_a_cancelled_or_timed_out_request_leaves_the_queue(
    leave: Callable[[asyncio.Task[None]], object],
) -> None:
    requests = Requests(queue(wait_s_max=0.2))
    await requests.arrive("first")
    (second,) = await requests.arrive("second")
    leave(second)
    with pytest.raises((Overloaded, asyncio.CancelledError)):
        await second
    assert requests.queue.waiting == 0
    await requests.finish(1)
    await requests.arrive("third")
    await requests.finish(1)
    assert requests.served == ["first", "third"]


async def test_a_slot_that_meets_a_cancellation_is_handed_over() -> None:
    requests = Requests(queue())
    await requests.arrive("first")
    (second,) = await requests.arrive("second")
    (third,) = await requests.arrive("third")
    requests.next.release()
    while "first" in requests.served and requests.queue.waiting == 2:
        await asyncio.sleep(0)
    second.cancel()
    await requests.finish(2)
    await third
    assert second.cancelled()
    assert requests.served == ["first", "third"]


async def test_a_wait_ends_at_the_deadline_of_the_request() -> None:
    requests = Requests(queue())
    await requests.arrive("first")
    with context.working_on(None, seconds=0.1):
        async with asyncio.timeout(5):
            with pytest.raises(Overloaded):
                async with requests.queue.slot("second"):
                    pytest.fail("the slot is taken")
    await requests.finish(1)
