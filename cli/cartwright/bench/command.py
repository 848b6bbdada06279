"""`cartwright bench` itself: what was asked for, the progress while it runs, and the report as tables or as JSON."""

import sys
from pathlib import Path
from time import perf_counter

import asyncpg
import msgspec
from rich.console import Console

from cartwright.bench import chart, comparison
from cartwright.bench.requests import KINDS
from cartwright.bench.run import Plan, run
from cartwright.bench.tables import tell
from cartwright.embedded.postgres import PostgresFailed
from cartwright.errors import CannotGoOn

YARDSTICK = "pgbench"


def bench(plan: Plan, *, chart_file: Path | None, compare_file: Path | None, as_json: bool) -> bool:
    """Runs and tells; answers whether every promise held and nothing has become slower than recorded.

    Raises CannotGoOn when it could not be run to its end.
    """
    recorded = None if compare_file is None else comparison.read(compare_file)
    # What programs read goes to stdout, what people watch to stderr.
    progress = Console(highlight=False, soft_wrap=True, stderr=True)
    began_at = perf_counter()
    try:
        report = run(plan, lambda step: progress.print(f"{perf_counter() - began_at:6.1f} s  {step}"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, PostgresFailed) as error:
        raise CannotGoOn(f"The bench broke off: {error or type(error).__name__}") from error
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        tell(report, Console(highlight=False))
    if chart_file is not None:
        chart_file.write_text(chart.draw(report))
    slower = [] if recorded is None else comparison.slower(recorded.ratios, report.ratios)
    for sentence in slower:
        progress.print(f"[red]Slower than recorded: {sentence}.[/]")
    return report.verification.holds and not slower


def parse_plan(seconds: float, clients: str, only: str, replicas: int) -> Plan:
    """From the options' words. Raises ValueError with what is wrong about them."""
    words = [word.strip() for word in clients.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError(f"{clients} is no list of numbers of clients, such as 1,16,64,256")
    parts = [word.strip() for word in only.split(",")] if only else [*KINDS, YARDSTICK]
    unknown = sorted(set(parts) - {*KINDS, YARDSTICK})
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: there are only {', '.join((*KINDS, YARDSTICK))}")
    return Plan(
        kinds=tuple(kind for kind in KINDS if kind in parts),
        clients=tuple(dict.fromkeys(int(word) for word in words)),
        seconds=seconds,
        replicas=replicas,
        with_yardstick=YARDSTICK in parts,
    )
