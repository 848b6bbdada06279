"""How long a system takes to recover: what another fault kept it from does not count."""

from typing import Any

import pytest

from cartwright.chaos.history import InjectedFault
from cartwright.chaos.outcome import kinds_never_injected, recovery_times
from cartwright.chaos.schedule import Fault

KILLED = Fault(number=0, at_s=10.0, kind="kill", target="orders")


def injected(fault: Fault, began_s: float, ended_s: float) -> InjectedFault:
    return InjectedFault(fault=fault, began_s=began_s, ended_s=ended_s)


def outage(number: int, began_s: float, ended_s: float, **other: Any) -> InjectedFault:
    fault = Fault(number=number, at_s=began_s, kind="hang", **({"target": "payments > postgres"} | other))
    return injected(fault, began_s, ended_s)


@pytest.mark.parametrize(
    ("others", "expected_s"),
    [
        ([], 8.0),
        ([outage(1, 12.0, 15.0)], 5.0),
        ([outage(1, 5.0, 15.0)], 3.0),
        ([outage(1, 12.0, 15.0), outage(2, 14.0, 17.0)], 3.0),
        ([outage(1, 12.0, 17.0), outage(2, 13.0, 14.0)], 3.0),
        ([outage(1, 17.0, 25.0)], 7.0),
        ([outage(1, 1.0, 9.0), outage(2, 19.0, 25.0)], 8.0),
        ([outage(1, 12.0, 15.0, target="orders > catalog")], 8.0),
    ],
    ids=[
        "no other fault",
        "one within",
        "one that began before",
        "two that overlap",
        "one within another",
        "one that went on afterwards",
        "some before and after",
        "one that leaves a way round",
    ],
)
def test_seconds_of_an_outage_do_not_count(others: list[InjectedFault], expected_s: float) -> None:
    faults = [injected(KILLED, 10.0, 10.0), *others]
    assert recovery_times(faults, {KILLED.number: 18.0}) == {KILLED.number: pytest.approx(expected_s)}


def test_a_fault_after_which_nothing_was_bought_has_no_time() -> None:
    assert recovery_times([injected(KILLED, 10.0, 10.0)], {}) == {}


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        (["nobody was connected"] * 3, ["kill a backend of"]),
        (["nobody was connected"] * 2, []),
        (["nobody was connected", "", "nobody was connected"], []),
    ],
    ids=["three times in vain", "twice in vain", "once in three"],
)
def test_a_kind_of_fault_that_never_happens_is_reported(notes: list[str], expected: list[str]) -> None:
    fault = Fault(number=0, at_s=10.0, kind="kill a backend of", target="orders")
    faults = [InjectedFault(fault=fault, began_s=1.0, ended_s=1.0, note=note) for note in notes]
    assert kinds_never_injected([injected(KILLED, 10.0, 10.0), *faults]) == expected
