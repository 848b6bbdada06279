"""`cartwright chaos` itself: plans the run, shows how it goes, stops cleanly on Ctrl-C, and tells the outcome."""

import asyncio
import random
import signal
import tempfile
import time
from pathlib import Path

import asyncpg
import msgspec
from rich.console import Console
from rich.status import Status

from cartwright.chaos.outcome import Outcome, tell
from cartwright.chaos.run import Plan, Progress, planned, run
from cartwright.chaos.schedule import SECONDS_BETWEEN_FAULTS
from cartwright.launcher.errors import CannotGoOn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SEEDS = 1_000_000
SECONDS_BETWEEN_LINES = 10.0


def chaos(seed: int | None, minutes: float, faults: int | None, *, as_json: bool, keep: bool) -> bool:
    """Runs and tells; answers whether every promise held. Raises CannotGoOn when it could not be run to its end."""
    plan = Plan(
        seed=random.SystemRandom().randrange(SEEDS) if seed is None else seed,
        minutes=minutes,
        faults=max(round(minutes * 60 / SECONDS_BETWEEN_FAULTS), 1) if faults is None else faults,
    )
    # What programs read goes to stdout, what people watch to stderr.
    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    console.print(f"seed {plan.seed}, {plan.minutes:g} minutes, {plan.faults} faults")
    for fault in planned(plan):
        console.print(f"  {fault.at_s:7.1f} s  {fault.says}", style="dim", highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="cartwright-chaos-"))
    if keep:
        console.print(f"data and record: {folder}", markup=False)
    outcome = _run(plan, folder, console, keep=keep)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    else:
        tell(outcome, console)
    return outcome.holds


def _run(plan: Plan, folder: Path, console: Console, *, keep: bool) -> Outcome:
    async def bounded() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with _ProgressDisplay(console, plan) as watching:
            return await run(plan, folder, watching.show, keep=keep)

    try:
        return asyncio.run(bounded())
    except (asyncio.CancelledError, KeyboardInterrupt):
        left = f"It is left at {folder}." if keep else "Nothing is left of it."
        raise CannotGoOn(f"The run was stopped. {left}") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotGoOn(f"The run broke off: {error or type(error).__name__}") from error


class _ProgressDisplay:
    """A line that is redrawn in place on a terminal, and a line now and then elsewhere."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._status: Status | None = None
        self._next_line_at = 0.0
        self._step = ""

    def __enter__(self) -> "_ProgressDisplay":
        if self._console.is_terminal:
            self._status = self._console.status("")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, progress: Progress) -> None:
        if self._status is not None:
            self._status.update(self._line(progress))
        elif progress.step != self._step or time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + SECONDS_BETWEEN_LINES
            self._console.print(self._line(progress))
        self._step = progress.step

    def _line(self, progress: Progress) -> str:
        line = f"{progress.step}"
        if progress.health is None:
            return line
        return (
            f"{line}: {progress.at_s:.0f} of {self._plan.seconds:.0f} s, {len(progress.health.accepted):,} orders, "
            f"{progress.faults_over} of {self._plan.faults} faults, {len(progress.health.never)} not recovered from; "
            f"{progress.latest}"
        )
