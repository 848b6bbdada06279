"""Passwords become Argon2id hashes in threads of their own, few at once: hashing is slow and takes memory, on purpose.

Sources take turns (`fair_queue`). The threads have a low priority, so that a rush of sign-ins leaves the processors to
requests that need little of them.
"""

import asyncio
import os
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from users.password_hashing import freed_memory
from users.password_hashing.fair_queue import FairQueue

CHARACTERS_MAX = 256
"""No longer password was ever accepted. To normalise a long text can take the square of its length."""
NICENESS = 10
WAITING_MAX = 256
IDLE_S = 10.0
"""After so long without a hash its memory is given back."""
_MIB_FOR_OLD_HASHES = 64
"""Those made by earlier releases take so much."""
ArgumentsT = TypeVarTuple("ArgumentsT")
ResultT = TypeVar("ResultT")


class Passwords:
    """A `Part`. Hashes and checks passwords, `at_once` at a time; raises `Overloaded` past the bounds of its queue."""

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
        freed_memory.keep_freed_blocks(at_once * max(2 * memory_kib // 1024, _MIB_FOR_OLD_HASHES))
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._queue = FairQueue(at_once, waiting_max=waiting_max, wait_s_max=wait_s_max)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=_stand_back)
        self._nobodys_hash = self._hasher.hash("the password of nobody")
        self._idle: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._give_memory_back_later()

    async def stop(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, source: str) -> str:
        """The hash to keep; it names its own parameters and salt. `source` is whose line in the queue it takes."""
        return await self._in_thread(source, self._hasher.hash, _prepared(password))

    async def matches(self, password: str, kept_hash: str | None, source: str) -> bool:
        """Whether `kept_hash` was made of `password`.

        None, for an account that is not there, takes as long as any other: the time must not tell who has an account.
        """
        if len(password) > CHARACTERS_MAX:
            return False
        kept = kept_hash or self._nobodys_hash
        return await self._in_thread(source, self._check, kept, _prepared(password)) and bool(kept_hash)

    def is_outdated(self, kept_hash: str) -> bool:
        """Whether the hash was made with other parameters than are set now."""
        return self._hasher.check_needs_rehash(kept_hash)

    def _check(self, kept_hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(kept_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise AssertionError("what is kept is no Argon2 hash") from error

    async def _in_thread(self, source: str, work: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT) -> ResultT:
        async with self._queue.place(source):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
            finally:
                self._give_memory_back_later()

    def _give_memory_back_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, freed_memory.give_back)


def _stand_back() -> None:
    # On Linux a thread has a priority of its own.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _prepared(password: str) -> bytes:
    # NFC, since the same characters come composed from one keyboard and decomposed from another (RFC 8265, 4.2.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
