"""What was measured of one load and of one system, as data."""

import msgspec

from cartwright.bench.costs import Costs
from cartwright.bench.figures import OthersLatency, Outcome
from cartwright.bench.lag import Lag


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """One load, and what it led to. `batches` are mean sizes, by service and what was batched."""

    kind: str
    outcome: Outcome
    load_generator_cpu_ms: float
    """Of one request, and in no other figure."""
    costs: Costs
    batches: dict[str, float]
    lag: Lag
    others: OthersLatency | None = None


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
