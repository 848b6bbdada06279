"""Counts a sign-in attempt before its password is verified, so that concurrent attempts cannot evade the limits.

A throttled user is refused for a time that the answer names, and is never locked out: see `domain.sign_in_limits`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from chassis.persistence.database import Connection, Database
from users import metrics
from users.domain import sign_in_limits
from users.domain.session import hash_token
from users.domain.sign_in_limits import DEVICE_LIMIT, Budgets
from users.errors import TooManyAttempts
from users.store import devices, sign_in_budgets

_log = structlog.get_logger()


@dataclass(frozen=True)
class Attempt:
    """A counted attempt: of a known device, by one budget; of an unknown one, by three budgets and perhaps a slot."""

    keys: tuple[bytes, ...]
    used_slot_at: float | None = None

    @property
    def is_of_known_device(self) -> bool:
        return len(self.keys) == 1

    @property
    def flow(self) -> str:
        """Its flow in the queue of password hashes: a known device has its own, others that of their source."""
        return self.keys[0].hex()


async def count_attempt(
    database: Database, *, email: str, email_forms: Sequence[str], source: str, device_token: str | None
) -> Attempt:
    """Raises `TooManyAttempts`.

    `email` is what the client sent, `email_forms` are its `stored_email_forms`.
    """
    counted_email = email_forms[-1] if email_forms else email
    device_hash = None if device_token is None else hash_token(device_token)

    async def count(connection: Connection) -> Attempt | float:
        if device_hash is not None and await devices.is_known(connection, device_hash, email_forms):
            attempt = await _count_known_device(connection, device_hash)
            if attempt is not None:
                return attempt
        return await _count_unknown_device(connection, counted_email, source)

    try:
        outcome = await database.run(count)
        if isinstance(outcome, Attempt):
            return outcome
        raise TooManyAttempts(outcome)  # After the commit, which keeps the slot.
    except TooManyAttempts as refusal:
        metrics.SIGN_INS_THROTTLED.inc()
        _log.warning("sign-in throttled", source=source, wait_s=refusal.retry_after_s)
        raise


async def uncount_attempt(connection: Connection, attempt: Attempt) -> None:
    """Undo the count: the password was right, or was not verified."""
    stored = await sign_in_budgets.lock(connection, attempt.keys)
    if attempt.is_of_known_device:
        full_at = DEVICE_LIMIT.uncount(stored[0].full_at)
        await sign_in_budgets.update(connection, attempt.keys, [full_at], [None])
        return
    source, pair, account = stored
    budgets = Budgets(source.full_at, pair.full_at, account.full_at, pair.slot_at)
    await _update(connection, attempt.keys, sign_in_limits.uncount(budgets, attempt.used_slot_at))


async def _count_known_device(connection: Connection, device_hash: bytes) -> Attempt | None:
    key = _budget_key("device", device_hash.hex())
    (device,) = await sign_in_budgets.lock(connection, [key])
    if DEVICE_LIMIT.wait_s(device.full_at, device.now) > 0:
        return None  # The token may be stolen. From here on the device counts as unknown.
    await sign_in_budgets.update(connection, [key], [DEVICE_LIMIT.count(device.full_at, device.now)], [None])
    return Attempt((key,))


async def _count_unknown_device(connection: Connection, email: str, source: str) -> Attempt | float:
    keys = (_budget_key("source", source), _budget_key("pair", email, source), _budget_key("account", email))
    stored = await sign_in_budgets.lock(connection, keys)
    budgets = Budgets(stored[0].full_at, stored[1].full_at, stored[2].full_at, stored[1].slot_at)
    decision = sign_in_limits.decide(budgets, stored[2].now)
    if decision.budgets is None:
        raise TooManyAttempts(decision.wait_s)  # Inside the transaction: its new rows, which are full, are rolled back.
    await _update(connection, keys, decision.budgets)
    return decision.wait_s or Attempt(keys, decision.used_slot_at)


async def _update(connection: Connection, keys: tuple[bytes, ...], budgets: Budgets) -> None:
    full_at = (budgets.source, budgets.pair, budgets.account)
    await sign_in_budgets.update(connection, keys, full_at, (None, budgets.slot_at, None))


def _budget_key(*words: str) -> bytes:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).digest()
