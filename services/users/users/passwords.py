"""Passwords become Argon2id hashes in threads of their own, two at once: hashing is slow and takes memory, on purpose.

Without the bound a burst of sign-ins would take all cores and all memory. The queue for a thread is bounded by time and
not by number, since how long a hash takes depends on the machine, and on what else it does.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from chassis.problems import Overloaded

CHARACTERS_MAX = 256
"""No longer password was ever accepted. To normalise a long text can take the square of its length."""
AT_ONCE = 2
_WEIGHT_OF_THE_LAST = 0.25
ArgumentsT = TypeVarTuple("ArgumentsT")
ResultT = TypeVar("ResultT")


class Passwords:
    """A `Part`. Hashes and checks passwords; raises `Overloaded` for one that would wait longer than `wait_s_max`."""

    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, wait_s_max: float) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._wait_s_max = wait_s_max
        self._waiting = 0
        self._free = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        began_at = perf_counter()
        self._nobodys_hash = self._hasher.hash("the password of nobody")
        self._usual_s = perf_counter() - began_at

    async def start(self) -> None:
        """Nothing to wait for."""

    async def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash to keep; it names its own parameters and salt."""
        return await self._in_thread(self._hasher.hash, _prepared(password))

    async def matches(self, password: str, kept_hash: str | None) -> bool:
        """Whether `kept_hash` was made of `password`.

        None, for an account that is not there, takes as long as any other: the time must not tell who has an account.
        """
        if len(password) > CHARACTERS_MAX:
            return False
        return await self._in_thread(self._check, kept_hash or self._nobodys_hash, _prepared(password)) and bool(
            kept_hash
        )

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

    async def _in_thread(self, work: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT) -> ResultT:
        await self._wait_for_a_thread()
        began_at = perf_counter()
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._free.release()
        self._usual_s += (perf_counter() - began_at - self._usual_s) * _WEIGHT_OF_THE_LAST
        return result

    async def _wait_for_a_thread(self) -> None:
        if self._free.locked() and (self._waiting + 1) * self._usual_s / AT_ONCE > self._wait_s_max:
            raise Overloaded("Too many passwords wait to be checked already.")
        self._waiting += 1
        try:
            # What is usual may be wrong, as when the machine has just become slow: so the wait itself ends in time too.
            async with asyncio.timeout(self._wait_s_max):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded("The passwords before this one take too long to be checked.") from None
        finally:
            self._waiting -= 1


def _prepared(password: str) -> bytes:
    # NFC, since the same characters come composed from one keyboard and decomposed from another (RFC 8265, 4.2.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
