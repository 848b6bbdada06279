"""The password hasher: Argon2id, few at once, and in a time that reveals no accounts. No I/O."""

import asyncio
import os
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from cartwright.testkit.keys import make_encryption_key
from cartwright.testkit.service import until
from chassis.problems import Overloaded
from users import malloc
from users.password_hasher import NICENESS, PasswordHasher
from users.settings import Settings

CHEAP = {"time_cost": 1, "memory_kib": 8, "parallelism": 1, "at_once": 1}
HERE = "192.0.2.1"


def make_hasher(wait_s_max: float = 5.0, **changes: int) -> PasswordHasher:
    return PasswordHasher(**{**CHEAP, **changes}, wait_s_max=wait_s_max)


class BlockedVerify:
    """Replaces the verification of a password: blocks until it may end, and counts how many run at once."""

    def __init__(self, hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_end = threading.Event()
        self.most_at_once = 0
        self._running: set[int] = set()
        monkeypatch.setattr(hasher, "_verify", self)

    def __call__(self, *_: Any) -> bool:
        self._running.add(threading.get_ident())
        self.most_at_once = max(self.most_at_once, len(self._running))
        assert self.may_end.wait(10)
        self._running.discard(threading.get_ident())
        return True


async def start(hasher: PasswordHasher, count: int, source: str = HERE) -> list[asyncio.Task[bool]]:
    """So many verifications, each of which runs or waits."""
    tasks = [asyncio.create_task(hasher.verify("x", "stored", source)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_a_password_matches_only_its_own_hash() -> None:
    hasher = make_hasher()
    stored = await hasher.hash("correct horse", HERE)
    assert stored.startswith("$argon2id$")
    assert await hasher.verify("correct horse", stored, HERE)
    assert not await hasher.verify("Correct horse", stored, HERE)
    assert stored != await hasher.hash("correct horse", HERE), "each hash has a salt of its own"


async def test_the_same_characters_match_however_a_keyboard_composes_them() -> None:
    hasher = make_hasher()
    assert await hasher.verify("cafe\u0301 noir", await hasher.hash("caf\u00e9 noir", HERE), HERE)


async def test_an_address_without_an_account_costs_the_same_and_never_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make_hasher()
    checked: list[str] = []

    def check(stored: str, password: bytes) -> bool:
        checked.append(stored)
        return True

    monkeypatch.setattr(hasher, "_verify", check)
    assert not await hasher.verify("correct horse", None, HERE)
    assert await hasher.verify("correct horse", await hasher.hash("correct horse", HERE), HERE)
    dummy, stored = (hash_.split("$")[1:4] for hash_ in checked)
    assert dummy == stored, "the same algorithm, version and parameters"


async def test_a_hash_of_other_parameters_needs_rehash() -> None:
    stored = await make_hasher().hash("correct horse", HERE)
    assert not make_hasher().needs_rehash(stored)
    assert make_hasher(time_cost=2).needs_rehash(stored)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_only_so_many_passwords_are_hashed_at_once_as_set(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    hasher = make_hasher(at_once=at_once)
    work = BlockedVerify(hasher, monkeypatch)
    accepted = await start(hasher, at_once + 5)
    await until(lambda: work.most_at_once == at_once)
    work.may_end.set()
    assert await asyncio.gather(*accepted) == [True] * (at_once + 5)
    assert work.most_at_once == at_once


async def test_a_wait_for_a_hash_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make_hasher(wait_s_max=0.1)
    work = BlockedVerify(hasher, monkeypatch)
    accepted = await start(hasher, 1)
    async with asyncio.timeout(5):
        with pytest.raises(Overloaded):
            await hasher.verify("x", "stored", HERE)
    work.may_end.set()
    await asyncio.gather(*accepted)
    assert await hasher.verify("x", "stored", HERE), "the slot is free again"


async def test_a_full_queue_refuses_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make_hasher(waiting_max=4)
    work = BlockedVerify(hasher, monkeypatch)
    accepted = await start(hasher, 5)
    async with asyncio.timeout(1):
        with pytest.raises(Overloaded):
            await hasher.verify("x", "stored", HERE)
    work.may_end.set()
    assert await asyncio.gather(*accepted) == [True] * 5


async def test_the_hashing_threads_have_a_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make_hasher()
    niceness: list[int] = []

    def check(*_: Any) -> bool:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return True

    monkeypatch.setattr(hasher, "_verify", check)
    await hasher.verify("x", "stored", HERE)
    assert niceness == [NICENESS]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < NICENESS


async def test_the_memory_of_a_hash_is_reused_until_it_is_trimmed() -> None:
    hasher = make_hasher(memory_kib=46 * 1024)
    await hasher.hash("x", HERE)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    await hasher.hash("x", HERE)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < 1_000, "46 MiB are 11,776 pages"

    before = resident_bytes()
    malloc.trim()
    assert before - resident_bytes() > 40 << 20


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
