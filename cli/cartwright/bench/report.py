"""What a bench found out, put together from what was measured."""

from collections.abc import Sequence

import msgspec

from cartwright.bench.figures import Outcome
from cartwright.bench.goals import Goal, goals_of, ratio
from cartwright.bench.memory import Memory
from cartwright.bench.requests import HOT_PURCHASES, PURCHASES
from cartwright.bench.results import LoadResult, Machine, Starts
from cartwright.verifier.reads import Report as Verification


class Ratio(msgspec.Struct, frozen=True):
    """Of purchases a second at so many clients to the transactions a second of pgbench at its best."""

    kind: str
    clients: int
    ratio: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    machine: Machine
    replicas: int
    durability: dict[str, str]
    """PostgreSQL's settings, as the system ran with them."""
    idle_cpu_ms: dict[str, float]
    """By part, of a second without any request."""
    goals: list[Goal]
    ratios: list[Ratio]
    loads: list[LoadResult]
    baseline: list[Outcome] = msgspec.field(name="yardstick")
    """Keeps its name in JSON, so that `--compare` reads older reports."""
    memory: Memory
    starts: Starts
    verification: Verification


def make_report(
    *,
    machine: Machine,
    replicas: int,
    durability: dict[str, str],
    idle_cpu_ms: dict[str, float],
    loads: Sequence[LoadResult],
    baseline: Sequence[Outcome],
    memory: Memory,
    starts: Starts,
    verification: Verification,
) -> Report:
    return Report(
        machine=machine,
        replicas=replicas,
        durability=durability,
        idle_cpu_ms=idle_cpu_ms,
        goals=goals_of(loads, baseline, memory, starts),
        ratios=[
            Ratio(load.kind, load.outcome.clients, share)
            for load in loads
            if load.kind in (PURCHASES, HOT_PURCHASES)
            and (share := ratio(loads, baseline, load.kind, load.outcome.clients)) is not None
        ],
        loads=list(loads),
        baseline=list(baseline),
        memory=memory,
        starts=starts,
        verification=verification,
    )
