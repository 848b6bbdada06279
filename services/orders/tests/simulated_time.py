"""An event loop whose time passes only when it is told to: what takes seconds costs nothing, and repeats exactly."""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class _StandStill(selectors.SelectSelector):
    """Where the loop would wait for the world, nothing comes: `waits` decides what that means."""

    def __init__(self, waits: Callable[[float | None], None]) -> None:
        super().__init__()
        self._waits = waits

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._waits(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`run_for(0)` does all that can be done now; more seconds let timers run out on the way, in their order."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._until_s = 0.0
        super().__init__(_StandStill(self._skip))
        self.broken: list[Mapping[str, Any]] = []
        self.set_exception_handler(lambda _, trouble: self.broken.append(trouble))

    def time(self) -> float:
        return self._now_s

    def now(self, _zone: tzinfo | None = None) -> datetime:
        """So that a module's `datetime` can be replaced by the loop."""
        return BEGINNING + timedelta(seconds=self._now_s)

    def run_for(self, seconds: float) -> None:
        self._until_s = self._now_s + seconds
        self.run_forever()
        self._now_s = self._until_s

    def close(self) -> None:
        """Whatever is still under way ends without having done anything more."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.run_for(0)
        super().close()

    def _skip(self, timeout: float | None) -> None:
        if timeout is None or self._now_s + timeout > self._until_s:
            self.stop()
        else:
            self._now_s += timeout
