"""Replicas are taken in turn, and one that failed rests, the longer the more often it did."""

import pytest

from chassis import addresses as module
from chassis.addresses import REST_S, REST_S_MAX, Address, Addresses


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def _taken(addresses: Addresses, times: int) -> list[str]:
    return [addresses.next().url for _ in range(times)]


def test_a_setting_gives_them_separated_by_commas() -> None:
    assert [address.url for address in Addresses("http://a:1/, http://b:2").all] == ["http://a:1", "http://b:2"]


def test_they_are_taken_in_turn() -> None:
    assert _taken(Addresses("a,b,c"), 5) == ["a", "b", "c", "a", "b"]


def test_one_that_failed_rests_and_is_then_taken_again(clock: Clock) -> None:
    addresses = Addresses("a,b,c")
    addresses.next().failed()
    assert "a" not in _taken(addresses, 6)
    clock.now += REST_S
    assert "a" in _taken(addresses, 3)


def test_the_rests_grow_to_a_bound_and_end_when_it_worked(clock: Clock) -> None:
    address = Address("a")
    rests = []
    for _ in range(2_000):
        address.failed()
        rests.append(address.rests_until - clock.now)
        clock.now = address.rests_until
    assert rests[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert rests[-1] == REST_S_MAX
    address.worked()
    address.failed()
    assert address.rests_until - clock.now == REST_S


def test_many_calls_that_fail_together_are_one_failure(clock: Clock) -> None:
    address = Address("a")
    for _ in range(64):
        address.failed()
    assert address.rests_until == clock.now + REST_S


def test_when_all_rest_the_one_that_is_soonest_done_is_taken(clock: Clock) -> None:
    addresses = Addresses("a,b")
    addresses.next().failed()
    clock.now += REST_S / 2
    addresses.next().failed()
    assert _taken(addresses, 2) == ["a", "a"]


def test_an_only_one_is_taken_whether_it_rests_or_not(clock: Clock) -> None:
    addresses = Addresses("a")
    addresses.next().failed()
    assert _taken(addresses, 2) == ["a", "a"]
