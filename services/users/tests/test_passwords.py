"""Passwords: Argon2id, two at once, and nothing to be learned from the time that it takes. No I/O."""

import asyncio
import threading
from typing import Any

import pytest

from chassis.problems import Overloaded
from users.passwords import AT_ONCE, Passwords
from users.settings import Settings

CHEAP = {"time_cost": 1, "memory_kib": 8, "parallelism": 1}


def passwords(queue_max: int = 8, **changes: int) -> Passwords:
    return Passwords(**{**CHEAP, **changes}, queue_max=queue_max)


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


async def test_two_are_hashed_at_once_and_more_than_the_queue_holds_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = passwords(queue_max=3)
    may_end = threading.Event()
    running: set[int] = set()
    most = 0

    def slow(*_: Any) -> bool:
        nonlocal most
        running.add(threading.get_ident())
        most = max(most, len(running))
        assert may_end.wait(10)
        running.discard(threading.get_ident())
        return True

    monkeypatch.setattr(some, "_check", slow)
    waiting = [asyncio.create_task(some.matches("x", "kept")) for _ in range(AT_ONCE + 3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await some.matches("x", "kept")
    may_end.set()
    assert await asyncio.gather(*waiting) == [True] * 5
    assert most <= AT_ONCE
    assert await some.matches("x", "kept"), "what was overloaded is free again"


def test_the_default_is_the_low_memory_profile_of_rfc_9106() -> None:
    settings = Settings(database_url="", events_url="", service_key="", service_keys="")
    assert (settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism) == (3, 65_536, 4)
