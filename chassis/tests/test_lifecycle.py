"""Parts come up in order and go down in reverse; a loop outlives its errors and stops when told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from chassis import context, lifecycle
from chassis.lifecycle import Loop, Parts, keep_trying
from chassis.problems import Unavailable

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


class Recorder:
    def __init__(self, name: str, record: list[str], wait: asyncio.Event | None = None, fails: bool = False) -> None:
        self.name, self.record, self.wait, self.fails = name, record, wait, fails

    async def start(self) -> None:
        self.record.append(f"start {self.name}")
        if self.wait is not None:
            await self.wait.wait()

    async def stop(self) -> None:
        self.record.append(f"stop {self.name}")
        if self.fails:
            raise RuntimeError("it will not stop")


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    record: list[str] = []
    parts = Parts([Recorder("database", record), Recorder("relay", record)])
    parts.begin()
    async with asyncio.timeout(5):
        await parts.ready.wait()
    await parts.end()
    assert record == ["start database", "start relay", "stop relay", "stop database"]
    assert not parts.ready.is_set()


async def test_a_part_waits_for_those_before_it() -> None:
    record: list[str] = []
    there = asyncio.Event()
    parts = Parts([Recorder("database", record, wait=there), Recorder("relay", record)])
    parts.begin()
    for _ in range(5):
        await asyncio.sleep(0)
    assert record == ["start database"]
    assert not parts.ready.is_set()
    there.set()
    async with asyncio.timeout(5):
        await parts.ready.wait()
    await parts.end()


async def test_an_end_in_the_middle_of_the_start_stops_only_what_was_begun() -> None:
    record: list[str] = []
    parts = Parts(
        [Recorder("database", record), Recorder("broker", record, asyncio.Event()), Recorder("relay", record)]
    )
    parts.begin()
    for _ in range(5):
        await asyncio.sleep(0)
    await parts.end()
    assert record == ["start database", "start broker", "stop broker", "stop database"]


async def test_a_part_that_will_not_stop_does_not_keep_the_others_from_it() -> None:
    record: list[str] = []
    parts = Parts([Recorder("database", record), Recorder("relay", record, fails=True)])
    parts.begin()
    await parts.ready.wait()
    with capture_logs() as logs:
        await parts.end()
    assert record[-1] == "stop database"
    assert [(line["event"], line["part"]) for line in logs] == [("a part did not stop in order", "Recorder")]


async def test_parts_that_hang_at_their_stop_take_together_no_longer_than_a_stop_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chassis.lifecycle.STOP_S_MAX", 0.2)

    class Hanging(Recorder):
        async def stop(self) -> None:
            await asyncio.sleep(60)

    parts = Parts([Hanging(str(number), []) for number in range(5)])
    parts.begin()
    await parts.ready.wait()
    began_at = time.monotonic()
    await parts.end()
    assert time.monotonic() - began_at < 0.9


async def test_the_reason_of_a_start_that_failed_is_known() -> None:
    class Broken(Recorder):
        async def start(self) -> None:
            raise RuntimeError("no such migration")

    parts = Parts([Broken("database", [])])
    assert parts.failure is None
    with capture_logs() as logs:
        parts.begin()
        for _ in range(5):
            await asyncio.sleep(0)
    assert str(parts.failure) == "no such migration"
    assert [line["event"] for line in logs] == ["the start failed for good"]
    await parts.end()


class Turns:
    """A loop's turn that follows a script: what it answers or raises each time."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.done = 0
        self.ids: list[str] = []

    async def __call__(self) -> bool:
        self.done += 1
        self.ids.append(context.correlation_id())
        step = self.script.pop(0) if self.script else False
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, asyncio.Event):
            await step.wait()
            return False
        return bool(step)


async def _stop_in_time(loop: Loop) -> None:
    async with asyncio.timeout(1):
        await loop.stop()


async def test_a_loop_goes_on_at_once_while_there_is_more(eventually: Eventually) -> None:
    turns = Turns(True, True, True)
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done == 4), "the loop went on until there was no more")
    await _stop_in_time(loop)
    assert len(set(turns.ids)) == 4


async def test_a_loop_goes_on_after_an_error_and_tells_it(eventually: Eventually) -> None:
    turns = Turns(RuntimeError("broken"), Unavailable("the database is away"))
    loop = Loop("test", turns, rest_s=0.01)
    with capture_logs() as logs:
        await loop.start()
        await eventually(lambda: _is(turns.done >= 3), "the loop went on")
        await _stop_in_time(loop)
    assert [(line["log_level"], "exc_info" in line) for line in logs] == [("warning", True), ("info", False)]


async def test_a_cancellation_that_a_library_raises_ends_no_loop(eventually: Eventually) -> None:
    turns = Turns(asyncio.CancelledError("the connection is stuck"))
    loop = Loop("test", turns, rest_s=0.01)
    with capture_logs() as logs:
        await loop.start()
        await eventually(lambda: _is(turns.done >= 2), "the loop went on")
        await _stop_in_time(loop)
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_a_loop_that_rests_is_woken(eventually: Eventually) -> None:
    turns = Turns()
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done == 1), "the first turn was done")
    loop.wake()
    await eventually(lambda: _is(turns.done == 2), "the loop was woken")
    await _stop_in_time(loop)


async def test_what_trickles_in_goes_together_in_the_next_turn(eventually: Eventually) -> None:
    turns = Turns()
    loop = Loop("test", turns, rest_s=60, gather_s=0.2)
    await loop.start()
    await eventually(lambda: _is(turns.done == 1), "the first turn was done at once")
    for _ in range(10):
        loop.wake()
        await asyncio.sleep(0.001)
    assert turns.done == 1
    await eventually(lambda: _is(turns.done == 2), "the loop was woken")
    await _stop_in_time(loop)
    assert turns.done == 2


async def test_what_goes_on_trickling_in_is_gathered_for_longer(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    async def rest(seconds: float, *, until: asyncio.Event) -> None:
        rests.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(lifecycle, "_rest", rest)
    # Whether more comes during the turn, and whether it left more to do; the consumer's says so when nothing came.
    script = iter([(True, False)] * 4 + [(False, False)] + [(True, False)] * 2 + [(False, True), (True, False)])
    at_the_end, may_end = asyncio.Event(), asyncio.Event()

    async def turn() -> bool:
        comes_more, more_is_left = next(script, (None, False))
        if comes_more is None:
            at_the_end.set()
            await may_end.wait()
        elif comes_more:
            loop.wake()
        return more_is_left

    loop = Loop("test", turn, rest_s=60, gather_s=1)
    await loop.start()
    await eventually(lambda: _is(at_the_end.is_set()), "all turns were done")
    gathered = [seconds for seconds in rests if seconds != 60]
    may_end.set()
    await _stop_in_time(loop)
    assert gathered == [1, 2, 4, 4, 4, 1, 2, 1]


async def test_a_wake_during_a_turn_is_not_lost(eventually: Eventually) -> None:
    going = asyncio.Event()
    turns = Turns(going)
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done == 1), "the turn has begun")
    loop.wake()
    going.set()
    await eventually(lambda: _is(turns.done == 2), "there was another turn")
    await _stop_in_time(loop)


async def test_work_that_arrives_does_not_hurry_a_loop_that_failed() -> None:
    turns = Turns(*[Unavailable() for _ in range(50)])
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    deadline = time.monotonic() + 0.25
    while time.monotonic() < deadline:
        loop.wake()
        await asyncio.sleep(0.001)
    assert turns.done <= 3
    await _stop_in_time(loop)


@pytest.mark.parametrize("script", [(), (RuntimeError("broken"),) * 9], ids=["at rest", "after errors"])
async def test_a_loop_stops_at_once(eventually: Eventually, script: tuple[Any, ...]) -> None:
    turns = Turns(*script)
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done >= min(1 + len(script), 3)), "the loop runs")
    began_at = time.monotonic()
    await loop.stop()
    assert time.monotonic() - began_at < 0.1


async def test_a_loop_finishes_its_turn_before_it_stops(eventually: Eventually) -> None:
    going = asyncio.Event()
    turns = Turns(going)
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done == 1), "the turn has begun")
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    going.set()
    async with asyncio.timeout(1):
        await stopping
    assert turns.done == 1


async def test_a_turn_that_hangs_is_cut_off(eventually: Eventually, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.lifecycle.STOP_S_MAX", 0.2)
    turns = Turns(asyncio.Event())
    loop = Loop("test", turns, rest_s=60)
    await loop.start()
    await eventually(lambda: _is(turns.done == 1), "the turn has begun")
    await _stop_in_time(loop)


async def test_what_is_away_is_tried_until_it_is_there() -> None:
    errors = [OSError("refused"), OSError("refused")]

    async def attempt() -> None:
        if errors:
            raise errors.pop()

    async with asyncio.timeout(5):
        await keep_trying("database", attempt, on=(OSError,))
    assert not errors


async def test_what_will_not_mend_is_told_at_once() -> None:
    async def attempt() -> None:
        raise ValueError("a migration is malformed")

    with pytest.raises(ValueError, match="malformed"):
        await keep_trying("database", attempt, on=(OSError,))


async def _is(condition: bool) -> bool:
    return condition
