"""What a run is held to: each goal beside what was measured. A run that did not measure it says nothing of it."""

from collections.abc import Iterator, Sequence

import msgspec

from cartwright.bench.figures import Outcome
from cartwright.bench.memory import Memory
from cartwright.bench.requests import HOT_PURCHASES, PURCHASES, SIGN_INS
from cartwright.bench.results import LoadResult, Starts

CLIENTS_MANY = 256
RATIO_MIN = 0.7
CONSUMED_S_MAX = 5.0
SINGLE_CLIENT_FACTOR_MAX = 5.0
MEMORY_MIB_MAX = 700.0
WARM_START_S_MAX = 6.0
SIGN_IN_CLIENTS = 64
SIGN_INS_MIN = 15.0
OTHERS_FACTOR_MAX = 3.0
NO_SLOWER = 0.95
"""What is within the noise of two loads one after the other."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    says: str
    measured: float
    is_reached: bool


def goals_of(loads: Sequence[LoadResult], baseline: Sequence[Outcome], memory: Memory, starts: Starts) -> list[Goal]:
    return list(_goals(loads, baseline, memory, starts))


def ratio(loads: Sequence[LoadResult], baseline: Sequence[Outcome], kind: str, clients: int) -> float | None:
    """Of what was measured at so many clients to pgbench at its best, whatever clients it took for that."""
    best = max((outcome.per_second for outcome in baseline), default=0.0)
    measured = find(loads, kind, clients)
    return round(measured.outcome.per_second / best, 3) if measured and best else None


def find(loads: Sequence[LoadResult], kind: str, clients: int) -> LoadResult | None:
    return next((load for load in loads if load.kind == kind and load.outcome.clients == clients), None)


def _goals(loads: Sequence[LoadResult], baseline: Sequence[Outcome], memory: Memory, starts: Starts) -> Iterator[Goal]:
    many = find(loads, PURCHASES, CLIENTS_MANY)
    share = ratio(loads, baseline, PURCHASES, CLIENTS_MANY)
    if share is not None:
        yield _at_least(f"purchases at {CLIENTS_MANY} clients, of pgbench at its best", share, RATIO_MIN)
    as_many = _of_as_many(baseline, CLIENTS_MANY)
    if many is not None and as_many is not None and as_many.per_second:
        beside_as_many = round(many.outcome.per_second / as_many.per_second, 3)
        yield _at_least(f"purchases at {CLIENTS_MANY} clients, of pgbench with as many", beside_as_many, RATIO_MIN)
    if many is not None:
        yield _at_most(
            "seconds until every event of them was consumed", many.lag.seconds_until_consumed, CONSUMED_S_MAX
        )
        hot = find(loads, HOT_PURCHASES, CLIENTS_MANY)
        if hot is not None and many.outcome.per_second:
            beside = round(hot.outcome.per_second / many.outcome.per_second, 3)
            yield _at_least("purchases all of one product, of those spread", beside, NO_SLOWER)
    single = find(loads, PURCHASES, 1)
    alone = _of_as_many(baseline, 1)
    if single is not None and alone is not None and alone.latency.p50:
        factor = round(single.outcome.latency.p50 / alone.latency.p50, 2)
        yield _at_most("a single client's median purchase, of pgbench's", factor, SINGLE_CLIENT_FACTOR_MAX)
    yield from _of_sign_ins(loads)
    yield _at_most("MiB of services, gateway and stores after the run", memory.held_total, MEMORY_MIB_MAX)
    if starts.warm is not None:
        yield _at_most("seconds to start on the data of the run", starts.warm, WARM_START_S_MAX)


def _of_sign_ins(loads: Sequence[LoadResult]) -> Iterator[Goal]:
    load = find(loads, SIGN_INS, SIGN_IN_CLIENTS)
    if load is None:
        return
    yield _at_least(f"sign-ins a second at {SIGN_IN_CLIENTS} clients", load.outcome.per_second, SIGN_INS_MIN)
    yield _at_most(f"sign-ins refused at {SIGN_IN_CLIENTS} clients", load.outcome.errors, 0)
    if load.others is not None and load.others.quiet.p50:
        factor = round(load.others.loaded.p50 / load.others.quiet.p50, 2)
        yield _at_most("the median of others beside them, of the quiet one", factor, OTHERS_FACTOR_MAX)


def _of_as_many(baseline: Sequence[Outcome], clients: int) -> Outcome | None:
    return next((outcome for outcome in baseline if outcome.clients == clients), None)


def _at_least(says: str, measured: float, limit: float) -> Goal:
    return Goal(says=f"{says}: at least {limit:g}", measured=measured, is_reached=measured >= limit)


def _at_most(says: str, measured: float, limit: float) -> Goal:
    return Goal(says=f"{says}: at most {limit:g}", measured=measured, is_reached=measured <= limit)
