"""`cartwright bench` itself: what was asked for, the progress while it runs, and the report as a table or as JSON."""

import sys
from time import perf_counter

import asyncpg
import msgspec
from rich.console import Console

from cartwright.bench.requests import KINDS
from cartwright.bench.run import Plan, run
from cartwright.bench.tables import tell
from cartwright.embedded.postgres import PostgresFailed
from cartwright.errors import CannotGoOn

YARDSTICK = "pgbench"


def bench(plan: Plan, *, as_json: bool) -> bool:
    """Runs and tells; answers whether every promise held. Raises CannotGoOn when it could not be run to its end."""
    # What programs read goes to stdout, what people watch to stderr.
    console = Console(highlight=False, soft_wrap=True, stderr=True)
    began_at = perf_counter()
    try:
        report = run(plan, lambda step: console.print(f"{perf_counter() - began_at:6.1f} s  {step}"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, PostgresFailed) as error:
        raise CannotGoOn(f"The bench broke off: {error or type(error).__name__}") from error
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        tell(report, Console(highlight=False))
    return report.verification.holds


def parse_plan(seconds: float, clients: str, only: str, replicas: int) -> Plan:
    """From the options' words. Raises ValueError with what is wrong about them."""
    numbers = tuple(int(number) for number in clients.split(",") if number.strip().isdecimal() and int(number) > 0)
    if len(numbers) != len(clients.split(",")):
        raise ValueError(f"{clients} is no list of numbers of clients, such as 1,16,64,256")
    parts = tuple(part.strip() for part in only.split(",")) if only else (*KINDS, YARDSTICK)
    unknown = set(parts) - {*KINDS, YARDSTICK}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: there are {', '.join((*KINDS, YARDSTICK))}")
    return Plan(
        kinds=tuple(kind for kind in KINDS if kind in parts),
        clients=numbers,
        seconds=seconds,
        replicas=replicas,
        with_yardstick=YARDSTICK in parts,
    )
