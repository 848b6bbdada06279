"""What a bench found out, as data."""

import msgspec

from cartwright.bench.costs import Costs
from cartwright.bench.figures import Outcome
from cartwright.bench.lag import Lag
from cartwright.bench.memory import Memory
from cartwright.verify.looks import Report as Verification


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One load, and what it led to. `batches` are mean sizes, by service and what was batched."""

    kind: str
    outcome: Outcome
    load_generator_cpu_ms: float
    """Of one request, and in no other figure."""
    costs: Costs
    batches: dict[str, float]
    lag: Lag


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`busy` is how many processes wanted a processor in the minute before: above 0.5, others measured along."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    busy: float


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of `cartwright up --detach`: on nothing, and on all the data of this run."""

    cold: float
    warm: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    machine: Machine
    replicas: int
    durability: dict[str, str]
    """PostgreSQL's settings, as the system ran with them."""
    starts: Starts
    loads: list[Measured]
    yardstick: list[Outcome]
    memory: Memory
    verification: Verification

    def ratio(self, clients: int, kind: str = "purchases") -> float | None:
        """Of what was measured at so many clients to the yardstick at its best, whatever clients it takes for that."""
        best = max((outcome.per_second for outcome in self.yardstick), default=0.0)
        mine = [load for load in self.loads if load.kind == kind and load.outcome.clients == clients]
        return round(mine[0].outcome.per_second / best, 3) if mine and best else None
