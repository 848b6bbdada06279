"""Passwords become Argon2id hashes in threads of their own, two at once: hashing is slow and takes memory, on purpose.

Without the bound a burst of sign-ins would take all cores and all memory; without the queue's bound the last in it
would wait for an answer that nobody waits for any more.
"""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from chassis.problems import Overloaded

AT_ONCE = 2
ParametersT = ParamSpec("ParametersT")
ResultT = TypeVar("ResultT")


class Passwords:
    """A `Part`. Hashes and checks passwords; raises `Overloaded` when `queue_max` wait already."""

    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, queue_max: int) -> None:
        self._hasher = PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=Type.ID
        )
        self._queue_max = queue_max
        self._in_hand = 0
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._nobodys_hash = self._hasher.hash("the password of nobody")

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

    async def _in_thread(
        self, work: Callable[ParametersT, ResultT], *arguments: ParametersT.args, **named: ParametersT.kwargs
    ) -> ResultT:
        assert not named
        if self._in_hand >= AT_ONCE + self._queue_max:
            raise Overloaded("Too many passwords wait to be checked already.")
        self._in_hand += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._in_hand -= 1


def _prepared(password: str) -> bytes:
    # NFC, since the same characters come composed from one keyboard and decomposed from another (RFC 8265, 4.2.2).
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
