"""Counts an attempt to sign in before its password is looked at, so that many at once are no way round the limits.

A person is told to wait, for a moment that the answer names, and is not locked out: see `attempt_limits`.
"""

import hashlib
from collections.abc import Sequence

import msgspec
import structlog
from prometheus_client import Counter

from chassis.persistence.database import Connection, Database
from users.domain import attempt_limits
from users.domain.attempt_limits import Budgets
from users.domain.session import hash_of
from users.errors import TooManyAttempts
from users.store import devices, sign_in_budgets

HELD_BACK = Counter("cartwright_sign_ins_held_back", "Attempts to sign in that were told to wait.")
_log = structlog.get_logger()


class Attempt(msgspec.Struct, frozen=True):
    """One that was counted: by a known device, or by a stranger's three budgets and perhaps a turn."""

    keys: tuple[bytes, ...]
    used_turn_at: float | None = None

    @property
    def is_of_device(self) -> bool:
        return len(self.keys) == 1

    @property
    def line(self) -> str:
        """Whose line it takes where sources take turns: a known device has its own."""
        return self.keys[0].hex()


async def take(
    database: Database, *, given: str, spellings: Sequence[str], source: str, device_token: str | None
) -> Attempt:
    """Raises `TooManyAttempts`. `spellings` are those by which an account may be kept, the present form last; none when
    what was `given` cannot be an address.
    """
    email = spellings[-1] if spellings else given
    device_hash = None if device_token is None else hash_of(device_token)

    async def work(connection: Connection) -> Attempt | float:
        if device_hash is not None and await devices.is_known(connection, device_hash, spellings):
            attempt = await _take_of_device(connection, device_hash)
            if attempt is not None:
                return attempt
        return await _take_of_stranger(connection, email, source)

    try:
        outcome = await database.run(work)
        if isinstance(outcome, Attempt):
            return outcome
        raise TooManyAttempts(outcome)  # Not before: the turn that was given has to be kept.
    except TooManyAttempts as refusal:
        HELD_BACK.inc()
        _log.warning("sign-in held back", source=source, wait_s=refusal.retry_after_s)
        raise


async def give_back(connection: Connection, attempt: Attempt) -> None:
    """Take the attempt back: its password was right, or was not looked at."""
    kept = await sign_in_budgets.lock(connection, attempt.keys)
    if attempt.is_of_device:
        full_at = attempt_limits.DEVICE.given_back(kept[0].full_at)
        await sign_in_budgets.keep(connection, attempt.keys, [full_at], [None])
        return
    source, pair, account = kept
    budgets = Budgets(source.full_at, pair.full_at, account.full_at, pair.turn_at)
    await _keep(connection, attempt.keys, attempt_limits.give_back(budgets, attempt.used_turn_at))


async def _take_of_device(connection: Connection, device_hash: bytes) -> Attempt | None:
    key = _key("device", device_hash.hex())
    (device,) = await sign_in_budgets.lock(connection, [key])
    if attempt_limits.DEVICE.wait_s(device.full_at, device.now) > 0:
        return None  # It may be stolen, and the owner's hands may be elsewhere: from here on it is a stranger.
    await sign_in_budgets.keep(connection, [key], [attempt_limits.DEVICE.taken(device.full_at, device.now)], [None])
    return Attempt((key,))


async def _take_of_stranger(connection: Connection, email: str, source: str) -> Attempt | float:
    keys = (_key("source", source), _key("pair", email, source), _key("account", email))
    kept = await sign_in_budgets.lock(connection, keys)
    budgets = Budgets(kept[0].full_at, kept[1].full_at, kept[2].full_at, kept[1].turn_at)
    decision = attempt_limits.decide(budgets, kept[2].now)
    if decision.budgets is None:
        raise TooManyAttempts(decision.wait_s)  # So nothing is kept, not even new rows that are full.
    await _keep(connection, keys, decision.budgets)
    return decision.wait_s or Attempt(keys, decision.used_turn_at)


async def _keep(connection: Connection, keys: tuple[bytes, ...], budgets: Budgets) -> None:
    full_at = (budgets.source, budgets.pair, budgets.account)
    await sign_in_budgets.keep(connection, keys, full_at, (None, budgets.turn_at, None))


def _key(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).digest()
