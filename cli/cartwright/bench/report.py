"""What a bench found out, put together from what was measured."""

from collections.abc import Sequence

import msgspec

from cartwright.bench.figures import Outcome
from cartwright.bench.goals import Goal, goals_of, ratio
from cartwright.bench.memory import Memory
from cartwright.bench.requests import HOT_PURCHASES, PURCHASES
from cartwright.bench.results import Machine, Measured, Starts
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
    """By part, of a second in which nobody asks for anything."""
    goals: list[Goal]
    ratios: list[Ratio]
    loads: list[Measured]
    yardstick: list[Outcome]
    memory: Memory
    starts: Starts
    verification: Verification


def make_report(
    *,
    machine: Machine,
    replicas: int,
    durability: dict[str, str],
    idle_cpu_ms: dict[str, float],
    loads: Sequence[Measured],
    yardstick: Sequence[Outcome],
    memory: Memory,
    starts: Starts,
    verification: Verification,
) -> Report:
    return Report(
        machine=machine,
        replicas=replicas,
        durability=durability,
        idle_cpu_ms=idle_cpu_ms,
        goals=goals_of(loads, yardstick, memory, starts),
        ratios=[
            Ratio(load.kind, load.outcome.clients, share)
            for load in loads
            if load.kind in (PURCHASES, HOT_PURCHASES)
            and (share := ratio(loads, yardstick, load.kind, load.outcome.clients)) is not None
        ],
        loads=list(loads),
        yardstick=list(yardstick),
        memory=memory,
        starts=starts,
        verification=verification,
    )
