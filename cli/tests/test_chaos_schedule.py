"""The schedule of a chaos run: decided by its seed alone, and rich enough."""

from collections import Counter

import pytest

from cartwright.chaos.run import Plan, planned
from cartwright.chaos.schedule import SECONDS_BETWEEN_FAULTS

HALF_AN_HOUR = Plan(seed=7, minutes=30, faults=round(30 * 60 / SECONDS_BETWEEN_FAULTS))


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert planned(HALF_AN_HOUR) == planned(HALF_AN_HOUR)


def test_another_seed_gives_another_schedule() -> None:
    assert planned(HALF_AN_HOUR) != planned(Plan(seed=8, minutes=30, faults=HALF_AN_HOUR.faults))


def test_half_an_hour_has_more_than_three_hundred_faults_of_every_kind_and_target() -> None:
    faults = planned(HALF_AN_HOUR)
    kinds = Counter(fault.kind for fault in faults)
    assert len(faults) > 300
    assert set(kinds) == {
        "kill",
        "kill a backend of",
        "freeze",
        "cut",
        "hang",
        "slow",
        "redelivered events of",
        "forged events of",
        "fill the disk of",
        "lose the store of",
        "set back the store of",
    }
    killed = {fault.target for fault in faults if fault.kind == "kill"}
    assert {"orders", "orders-2", "gateway", "nats", "postgres", "audit-2"} <= killed


def test_some_replicas_are_frozen_for_longer_than_leases_and_acknowledgements_wait() -> None:
    frozen_s = [fault.lasts_s for fault in planned(HALF_AN_HOUR) if fault.kind == "freeze"]
    assert any(5 < lasts_s < 30 for lasts_s in frozen_s)
    assert any(lasts_s > 30 for lasts_s in frozen_s)


@pytest.mark.parametrize("seed", range(20))
def test_faults_come_in_the_order_of_time_and_are_over_when_the_run_is(seed: int) -> None:
    plan = Plan(seed=seed, minutes=1, faults=12)
    faults = planned(plan)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert all(fault.at_s + fault.lasts_s <= plan.seconds + 0.01 for fault in faults)
    assert [fault.number for fault in faults] == list(range(12))


def test_a_run_may_be_one_without_faults() -> None:
    assert planned(Plan(seed=1, minutes=1, faults=0)) == []
