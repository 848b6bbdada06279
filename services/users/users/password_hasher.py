"""Hashes passwords with Argon2id in threads of its own, few at once: a hash is slow and takes memory by design.

Sources are served round robin (`fair_queue`). The threads have a low priority, so that a burst of sign-ins leaves the
processors to requests that need little of them.
"""

import asyncio
import os
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from users import malloc
from users.fair_queue import FairQueue

CHARACTERS_MAX = 256
"""No release accepted a longer password. The time to normalise a text can grow with the square of its length."""
NICENESS = 10
WAITING_MAX = 256
IDLE_S = 10.0
"""The memory returns to the kernel after this time without a hash."""
_EARLIER_HASH_MIB = 64
"""The memory for a hash with the parameters of earlier releases."""
ArgumentsT = TypeVarTuple("ArgumentsT")
ResultT = TypeVar("ResultT")


class PasswordHasher:
    """A `Part`. Hashes and verifies `at_once` passwords at a time. Both raise `Overloaded` past the queue's bounds.

    `source` is the flow of the request in the fair queue.
    """

    def __init__(
        self,
        *,
        time_cost: int,
        memory_kib: int,
        parallelism: int,
        at_once: int,
        wait_s_max: float,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        malloc.retain_freed_blocks(at_once * max(2 * memory_kib // 1024, _EARLIER_HASH_MIB))
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=argon2.Type.ID
        )
        self._queue = FairQueue(at_once, waiting_max=waiting_max, wait_s_max=wait_s_max)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=_lower_priority)
        self._dummy_hash = self._argon2.hash("the password of no account")
        self._trim_timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._schedule_trim()

    async def stop(self) -> None:
        if self._trim_timer is not None:
            self._trim_timer.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, source: str) -> str:
        """The hash, which contains its parameters and its salt."""
        return await self._in_thread(source, self._argon2.hash, _encode(password))

    async def verify(self, password: str, password_hash: str | None, source: str) -> bool:
        """Whether `password_hash` is a hash of `password`.

        None, for an address without an account, takes as long as a wrong password, so that the time does not reveal
        which addresses have accounts.
        """
        if len(password) > CHARACTERS_MAX:
            return False
        checked = password_hash or self._dummy_hash
        return await self._in_thread(source, self._verify, checked, _encode(password)) and bool(password_hash)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash has other parameters than the present ones."""
        return self._argon2.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise AssertionError("the stored hash is no Argon2 hash") from error

    async def _in_thread(self, source: str, work: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT) -> ResultT:
        async with self._queue.slot(source):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
            finally:
                self._schedule_trim()

    def _schedule_trim(self) -> None:
        if self._trim_timer is not None:
            self._trim_timer.cancel()
        self._trim_timer = asyncio.get_running_loop().call_later(IDLE_S, malloc.trim)


def _lower_priority() -> None:
    # On Linux each thread has a priority of its own.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _encode(password: str) -> bytes:
    # NFC, since keyboards differ in whether they compose a character (RFC 8265, section 4.2.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
