"""What a load came to, in figures: how many per second, and how long each took."""

import math
from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """In milliseconds."""

    p50: float
    p99: float
    p999: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one load: `per_second` counts what succeeded while it was measured, and `latency` is theirs.

    `answers` are all that came, by status; "0" stands for those that did not come. They are more than what was
    measured: the load is on before the measurement begins. `errors` are those that neither succeeded nor were 202.
    """

    clients: int
    seconds: float
    per_second: float
    latency: Latency
    errors: int
    answers: dict[str, int]

    @property
    def accepted(self) -> int:
        """What the system had to do in the end, whether the answer could wait for it or not."""
        return sum(self.answers.values()) - self.errors


class OthersLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Of one client that reads a product now and then: before the load, and beside it."""

    quiet: Latency
    loaded: Latency


def latency_of(seconds: Sequence[float]) -> Latency:
    """Exact percentiles of durations in seconds; zeros when there are none."""
    ordered = sorted(seconds)
    return Latency(*(round(percentile(ordered, share) * 1000, 3) for share in (0.5, 0.99, 0.999)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed (nearest rank)."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]
