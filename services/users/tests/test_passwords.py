"""Passwords: Argon2id, two at once, and nothing to be learned from the time that it takes. No I/O."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chassis.problems import Overloaded
from users.passwords import AT_ONCE, Passwords
from users.settings import Settings

CHEAP = {"time_cost": 1, "memory_kib": 8, "parallelism": 1}


def passwords(wait_s_max: float = 5.0, **changes: int) -> Passwords:
    return Passwords(**{**CHEAP, **changes}, wait_s_max=wait_s_max)


class Work:
    """Takes the place of the check of a password: goes on until it may end, and notes how many do so at once."""

    def __init__(self, some: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end = threading.Event()
        self.most_at_once = 0
        self._running: set[int] = set()
        monkeypatch.setattr(some, "_check", self)

    def __call__(self, *_: Any) -> bool:
        self._running.add(threading.get_ident())
        self.most_at_once = max(self.most_at_once, len(self._running))
        assert self.may_end.wait(10)
        self._running.discard(threading.get_ident())
        return True


async def begun(some: Passwords, count: int) -> list[asyncio.Task[bool]]:
    """So many checks, of which each runs or waits."""
    tasks = [asyncio.create_task(some.matches("x", "kept")) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


@pytest.fixture
def a_hash_takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`a_hash_takes(1.0)`: by the clock of the queue, each hash takes a second from now on."""

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr("users.passwords.perf_counter", itertools.count(0.0, seconds).__next__)

    return set_clock


async def test_a_password_matches_its_own_hash_alone() -> None:
    some = passwords()
    kept = await some.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert await some.matches("correct horse", kept)
    assert not await some.matches("Correct horse", kept)
    assert kept != await some.hash("correct horse"), "each hash has a salt of its own"


async def test_the_same_characters_match_however_a_keyboard_composes_them() -> None:
    some = passwords()
    assert await some.matches("cafe\u0301 noir", await some.hash("caf\u00e9 noir"))


async def test_nobodys_password_is_checked_at_the_same_cost_and_never_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords()
    checked: list[str] = []

    def check(kept: str, password: bytes) -> bool:
        checked.append(kept)
        return True

    monkeypatch.setattr(some, "_check", check)
    assert not await some.matches("correct horse", None)
    assert await some.matches("correct horse", await some.hash("correct horse"))
    nobodys, somebodys = (kept.split("$")[1:4] for kept in checked)
    assert nobodys == somebodys, "the same algorithm, version and parameters"


async def test_a_hash_of_other_parameters_is_outdated() -> None:
    kept = await passwords().hash("correct horse")
    assert not passwords().is_outdated(kept)
    assert passwords(time_cost=2).is_outdated(kept)


async def test_two_are_hashed_at_once_and_who_would_wait_too_long_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, a_hash_takes: Callable[[float], None]
) -> None:
    a_hash_takes(1.0)
    some = passwords(wait_s_max=5.0)
    work = Work(some, monkeypatch)
    # Two at once, a second each: the tenth in the queue waits for five seconds.
    accepted = await begun(some, AT_ONCE + 10)
    async with asyncio.timeout(1):
        with pytest.raises(Overloaded):
            await some.matches("x", "kept")
    work.may_end.set()
    assert await asyncio.gather(*accepted) == [True] * 12
    assert work.most_at_once == AT_ONCE
    assert await some.matches("x", "kept"), "what was overloaded is free again"


async def test_a_machine_that_becomes_slow_has_a_shorter_queue(
    monkeypatch: pytest.MonkeyPatch, a_hash_takes: Callable[[float], None]
) -> None:
    a_hash_takes(0.001)
    some = passwords(wait_s_max=5.0)
    a_hash_takes(4.0)
    for _ in range(10):
        await some.matches("x", await some.hash("x"))
    work = Work(some, monkeypatch)
    accepted = await begun(some, AT_ONCE + 2)
    with pytest.raises(Overloaded):
        await some.matches("x", "kept")
    work.may_end.set()
    await asyncio.gather(*accepted)


async def test_a_wait_ends_in_time_though_nobody_expected_it_to_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords(wait_s_max=0.1)
    work = Work(some, monkeypatch)
    accepted = await begun(some, AT_ONCE)
    async with asyncio.timeout(5):
        with pytest.raises(Overloaded):
            await some.matches("x", "kept")
    work.may_end.set()
    await asyncio.gather(*accepted)
    assert await some.matches("x", "kept"), "what was overloaded is free again"


def test_the_default_is_the_low_memory_profile_of_rfc_9106() -> None:
    settings = Settings(database_url="", events_url="", service_key="", service_keys="")
    assert (settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism) == (3, 65_536, 4)
