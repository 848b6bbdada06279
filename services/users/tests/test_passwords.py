"""PasswordHasher: Argon2id, few at once, and nothing to be learned from the time that it takes. No I/O."""

import asyncio
import os
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from cartwright.launcher.keys import make_encryption_key
from cartwright.testkit.service import until
from chassis.problems import Overloaded
from users import malloc
from users.password_hasher import NICENESS, PasswordHasher
from users.settings import Settings

CHEAP = {"time_cost": 1, "memory_kib": 8, "parallelism": 1, "at_once": 1}
HERE = "192.0.2.1"


def passwords(wait_s_max: float = 5.0, **changes: int) -> PasswordHasher:
    return PasswordHasher(**{**CHEAP, **changes}, wait_s_max=wait_s_max)


class Work:
    """Takes the place of the check of a password: goes on until it may end, and notes how many do so at once."""

    def __init__(self, some: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end = threading.Event()
        self.most_at_once = 0
        self._running: set[int] = set()
        monkeypatch.setattr(some, "_verify", self)

    def __call__(self, *_: Any) -> bool:
        self._running.add(threading.get_ident())
        self.most_at_once = max(self.most_at_once, len(self._running))
        assert self.may_end.wait(10)
        self._running.discard(threading.get_ident())
        return True


async def begun(some: PasswordHasher, count: int, source: str = HERE) -> list[asyncio.Task[bool]]:
    """So many checks, of which each runs or waits."""
    tasks = [asyncio.create_task(some.verify("x", "kept", source)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_a_password_matches_its_own_hash_alone() -> None:
    some = passwords()
    kept = await some.hash("correct horse", HERE)
    assert kept.startswith("$argon2id$")
    assert await some.verify("correct horse", kept, HERE)
    assert not await some.verify("Correct horse", kept, HERE)
    assert kept != await some.hash("correct horse", HERE), "each hash has a salt of its own"


async def test_the_same_characters_match_however_a_keyboard_composes_them() -> None:
    some = passwords()
    assert await some.verify("cafe\u0301 noir", await some.hash("caf\u00e9 noir", HERE), HERE)


async def test_nobodys_password_is_checked_at_the_same_cost_and_never_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords()
    checked: list[str] = []

    def check(kept: str, password: bytes) -> bool:
        checked.append(kept)
        return True

    monkeypatch.setattr(some, "_verify", check)
    assert not await some.verify("correct horse", None, HERE)
    assert await some.verify("correct horse", await some.hash("correct horse", HERE), HERE)
    nobodys, somebodys = (kept.split("$")[1:4] for kept in checked)
    assert nobodys == somebodys, "the same algorithm, version and parameters"


async def test_a_hash_of_other_parameters_needs_rehash() -> None:
    kept = await passwords().hash("correct horse", HERE)
    assert not passwords().needs_rehash(kept)
    assert passwords(time_cost=2).needs_rehash(kept)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_so_many_are_hashed_at_once_as_are_set(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    some = passwords(at_once=at_once)
    work = Work(some, monkeypatch)
    accepted = await begun(some, at_once + 5)
    await until(lambda: work.most_at_once == at_once)
    work.may_end.set()
    assert await asyncio.gather(*accepted) == [True] * (at_once + 5)
    assert work.most_at_once == at_once


async def test_a_wait_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords(wait_s_max=0.1)
    work = Work(some, monkeypatch)
    accepted = await begun(some, 1)
    async with asyncio.timeout(5):
        with pytest.raises(Overloaded):
            await some.verify("x", "kept", HERE)
    work.may_end.set()
    await asyncio.gather(*accepted)
    assert await some.verify("x", "kept", HERE), "what was overloaded is free again"


async def test_past_the_bound_of_the_queue_a_check_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords(waiting_max=4)
    work = Work(some, monkeypatch)
    accepted = await begun(some, 5)
    async with asyncio.timeout(1):
        with pytest.raises(Overloaded):
            await some.verify("x", "kept", HERE)
    work.may_end.set()
    assert await asyncio.gather(*accepted) == [True] * 5


async def test_the_threads_that_hash_stand_back(monkeypatch: pytest.MonkeyPatch) -> None:
    some = passwords()
    niceness: list[int] = []

    def check(*_: Any) -> bool:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    monkeypatch.setattr(some, "_verify", check)
    await some.verify("x", "kept", HERE)
    assert niceness == [NICENESS]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < NICENESS


async def test_the_memory_of_a_hash_is_kept_for_the_next_and_given_back_when_there_is_none() -> None:
    some = passwords(memory_kib=46 * 1024)
    await some.hash("x", HERE)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    await some.hash("x", HERE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < 1_000, "46 MiB are 11,776 pages"

    kept = resident_bytes()
    malloc.trim()
    assert kept - resident_bytes() > 40 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_the_default_is_that_of_owasp() -> None:
    settings = Settings(
        database_url="",
        events_url="",
        service_key="",
        service_keys="",
        key_encryption_keys=make_encryption_key(),
    )
    assert (settings.argon2_time_cost, settings.argon2_memory_kib, settings.argon2_parallelism) == (1, 47_104, 1)
