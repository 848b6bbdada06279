"""Begins a session for an e-mail address and its password.

An address without an account takes as long and is refused in the same words as a wrong password. How often a password
may be tried is in `attempt_limits`; sessions that are there go on meanwhile. A device that has signed in is known by a
token from then on, so that guesses of strangers never hold up its owner there.
"""

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis.persistence.database import Connection, Database
from chassis.problems import Overloaded
from users import sign_in_throttle
from users.domain.account import spellings
from users.domain.session import Session, hash_of, new_refresh_token
from users.errors import InvalidGrant
from users.password_hashing.hasher import Passwords
from users.settings import Settings
from users.store import accounts, devices, sessions
from users.store.accounts import KeptPassword

DEVICES_MAX = 20
"""So many are known for an account: those that signed in last."""
_log = structlog.get_logger()


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a client gave, and where it is. `device_token` is what an earlier sign-in answered."""

    email: str
    password: str
    source: str
    device_token: str | None = None


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    session: Session
    refresh_token: str
    device_token: str


async def sign_in(database: Database, passwords: Passwords, settings: Settings, credentials: Credentials) -> SignedIn:
    """Raises `InvalidGrant`, `TooManyAttempts` or `Overloaded`."""
    known_as = spellings(credentials.email)
    attempt = await sign_in_throttle.take(
        database,
        given=credentials.email,
        spellings=known_as,
        source=credentials.source,
        device_token=credentials.device_token,
    )
    kept = await database.read(lambda connection: accounts.kept_password(connection, known_as))
    try:
        matches = await passwords.matches(credentials.password, kept.password_hash if kept else None, attempt.line)
    except Overloaded:
        # It was not looked at, so it has not failed.
        await database.run(lambda connection: sign_in_throttle.give_back(connection, attempt))
        raise
    if not matches or kept is None:
        raise InvalidGrant
    better_hash = await _better_hash(passwords, kept, credentials.password, attempt.line)
    session_id, refresh_token = uuid7(), new_refresh_token()
    device_token = credentials.device_token if attempt.is_of_device else None
    device_token = device_token or new_refresh_token()

    async def begin(connection: Connection) -> Session | None:
        account = await accounts.lock(connection, kept.account_id)
        if account is None:
            return None
        await sign_in_throttle.give_back(connection, attempt)
        if better_hash is not None:
            await accounts.replace_password_hash(connection, account.id, kept.password_hash, better_hash)
        lifetime_s = settings.refresh_token_lifetime_s
        await sessions.insert(connection, session_id, account.id, lifetime_s)
        await sessions.insert_token(connection, hash_of(refresh_token), session_id, lifetime_s)
        await devices.remember(connection, hash_of(device_token), account.id, settings.device_lifetime_s, DEVICES_MAX)
        return Session(id=session_id, account_id=account.id, account_version=account.version, roles=account.roles)

    session = await database.run(begin)
    if session is None:
        raise InvalidGrant
    _log.info("signed in", user_id=str(session.account_id), session_id=str(session.id))
    return SignedIn(session=session, refresh_token=refresh_token, device_token=device_token)


async def _better_hash(passwords: Passwords, kept: KeptPassword, password: str, line: str) -> str | None:
    """A hash with today's parameters, when the kept one is of yesterday's: only now is the password at hand."""
    if not passwords.is_outdated(kept.password_hash):
        return None
    try:
        return await passwords.hash(password, line)
    except Overloaded:
        return None  # The next sign-in will do.
