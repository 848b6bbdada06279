"""Watches the parts of a system become ready, and tells those that will not."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from cartwright.launcher import processes, supervisor
from cartwright.launcher.errors import StartFailed, SystemGone
from cartwright.launcher.layout import Layout
from cartwright.launcher.part_views import PartView, part_views
from cartwright.launcher.parts import all_parts
from cartwright.launcher.readiness import Probes
from cartwright.launcher.system import System

READY_SECONDS_MAX = 90
POLL_SECONDS = 0.1
POLL_SECONDS_WHEN_READY = 2.0

# A part that was started so often without becoming ready would go on ending.
FRUITLESS_STARTS_MAX = 3
LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class PartsReading:
    """One reading at a system. `failing` are the parts that end at their start, again and again."""

    parts: list[PartView]
    failing: list[str]

    @property
    def waiting(self) -> list[str]:
        return [view.name for view in self.parts if view.state != "ready"]


async def read_once(system: System) -> list[PartView]:
    async with Probes(system) as probes:
        states, ready = await asyncio.gather(_states(system), probes.all_ready())
    return part_views(all_parts(system), states, ready)


async def read_repeatedly(system: System) -> AsyncGenerator[PartsReading, None]:
    """One reading after the other, close together while something is not ready.

    Raises SystemGone when supervisor ends.
    """
    parts = all_parts(system)
    ready: dict[str, bool] = {}
    fruitless_starts: dict[str, set[int]] = {}
    async with Probes(system) as probes:
        while True:
            states = await _states(system)
            if not states and not await asyncio.to_thread(processes.is_supervised, system.layout.data):
                raise SystemGone("The system was stopped by somebody else.")
            # What was ready is asked again only when all is: until then the machine has better things to do.
            is_all_ready = all(ready.get(part.name) for part in parts)
            asked = [part.name for part in parts if is_all_ready or not ready.get(part.name)]
            answers = await asyncio.gather(*(probes.is_ready(name) for name in asked))
            ready |= dict(zip(asked, answers, strict=True))
            for state in states.values():
                if ready.get(state.name):
                    fruitless_starts.pop(state.name, None)
                elif state.started:
                    fruitless_starts.setdefault(state.name, set()).add(state.started)
            failing = [name for name, starts in fruitless_starts.items() if len(starts) > FRUITLESS_STARTS_MAX]
            reading = PartsReading(part_views(parts, states, ready), failing)
            yield reading
            await asyncio.sleep(POLL_SECONDS if reading.waiting else POLL_SECONDS_WHEN_READY)


async def wait_until_ready(system: System, show: Callable[[list[PartView]], None]) -> None:
    """Raises StartFailed when a part keeps ending at its start, or is not ready in time."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    async with contextlib.aclosing(read_repeatedly(system)) as readings:
        async for reading in readings:
            show(reading.parts)
            if not reading.waiting:
                return
            if reading.failing:
                raise StartFailed(failure(system.layout, reading.failing[0]))
            if time.monotonic() > deadline:
                late, *others = reading.waiting
                beside = f" Neither are: {', '.join(others)}." if others else ""
                said = last_lines(system.layout, late)
                raise StartFailed(f"{late} is not ready after {READY_SECONDS_MAX} s.{beside}\n{said}")


def failure(layout: Layout, part: str) -> str:
    return f"{part} ends at its start, again and again.\n{last_lines(layout, part)}"


def last_lines(layout: Layout, part: str) -> str:
    log = layout.log(part)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"The end of its log, {log}:", *(f"  {line}" for line in lines[-LOG_LINES_SHOWN:])])


async def _states(system: System) -> dict[str, supervisor.PartState]:
    """Empty while supervisor does not answer."""
    with contextlib.suppress(OSError):
        return dict(await asyncio.to_thread(supervisor.part_states, system))
    return {}
