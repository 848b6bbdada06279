"""`cartwright bench` itself: what was asked for, the progress while it runs, and the report as tables or as JSON."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import asyncpg
import msgspec
from rich.console import Console

from cartwright.bench import chart, comparison
from cartwright.bench.growth import GrowthPlan, grow
from cartwright.bench.growth_table import print_growth
from cartwright.bench.requests import KINDS
from cartwright.bench.run import Plan, run
from cartwright.bench.tables import tell
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.postgres import PostgresFailed

BASELINE = "pgbench"
TABLE_WIDTH = 140
BROKEN_OFF = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, subprocess.SubprocessError, PostgresFailed)


def bench(plan: Plan, *, chart_file: Path | None, compare_file: Path | None, as_json: bool) -> bool:
    """Runs and tells; answers whether every promise held and nothing has become slower than recorded.

    Raises CannotGoOn when it could not be run to its end.
    """
    recorded = None if compare_file is None else comparison.read(compare_file)
    with _progress() as say:
        report = run(plan, say)
    if as_json:
        _print_json(report)
    else:
        tell(report, _console())
    if chart_file is not None:
        chart_file.write_text(chart.draw(report))
    slower = [] if recorded is None else comparison.slower(recorded.ratios, report.ratios)
    for sentence in slower:
        print(f"Slower than recorded: {sentence}.", file=sys.stderr)
    return report.verification.holds and not slower


def growth(plan: GrowthPlan, *, as_json: bool) -> bool:
    """Runs and tells; answers whether every promise held. Raises CannotGoOn when it could not be run to its end."""
    with _progress() as say:
        report = grow(plan, say)
    if as_json:
        _print_json(report)
    else:
        print_growth(report, _console())
    return report.holds


def brokers(seconds: float, *, as_json: bool) -> None:
    """Runs and tells. Raises CannotGoOn when it could not be run to its end."""
    # By these alone the command needs the chassis, which is not where only the command is.
    import structlog

    from cartwright.bench.broker_table import print_brokers
    from cartwright.bench.brokers import compare_brokers

    # What programs read goes to stdout, and nothing else.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with _progress() as say:
        report = compare_brokers(seconds, say)
    if as_json:
        _print_json(report)
    else:
        print_brokers(report, _console())


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Steps with their time, on stderr: what programs read goes to stdout."""
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    began_at = perf_counter()
    try:
        yield lambda step: console.print(f"{perf_counter() - began_at:6.1f} s  {step}")
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        subprocess.SubprocessError,
        PostgresFailed,
    ) as error:
        raise CannotGoOn(f"The bench broke off: {error or type(error).__name__}") from error


def _print_json(report: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(report)).decode())


def _console() -> Console:
    """Wide enough for the tables where the output is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=TABLE_WIDTH)


def parse_plan(seconds: float, clients: str, only: str, replicas: int) -> Plan:
    """From the options' words. Raises ValueError with what is wrong about them."""
    parts = [word.strip() for word in only.split(",")] if only else [*KINDS, BASELINE]
    unknown = sorted(set(parts) - {*KINDS, BASELINE})
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: there are only {', '.join((*KINDS, BASELINE))}")
    return Plan(
        kinds=tuple(kind for kind in KINDS if kind in parts),
        clients=_numbers(clients),
        seconds=seconds,
        replicas=replicas,
        with_baseline=BASELINE in parts,
    )


def parse_growth(orders: str, products: str, lines: str, replicas: str, clients: int, seconds: float) -> GrowthPlan:
    """From the options' words. Raises ValueError with what is wrong about them."""
    return GrowthPlan(
        orders=tuple(sorted(_numbers(orders))) if orders else (),
        products=tuple(sorted(_numbers(products))) if products else (),
        lines=_numbers(lines) if lines else (),
        replicas=_numbers(replicas),
        clients=clients,
        seconds=seconds,
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Each once, in the order given."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f"{text} is no list of numbers, such as 1,16,64")
    return tuple(dict.fromkeys(int(word) for word in words))
