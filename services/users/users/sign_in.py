"""Starts a session for an e-mail address and its password.

An address without an account takes as long as a wrong password, and gets the same refusal. `sign_in_throttle` limits
the attempts; existing sessions are not affected. A device that has signed in is known by a token from then on, so that
guesses of others never delay its owner there.
"""

from dataclasses import dataclass

import structlog
from uuid_utils.compat import uuid7

from chassis.persistence.database import Connection, Database
from chassis.problems import Overloaded
from users import sign_in_throttle
from users.domain.account import stored_email_forms
from users.domain.session import Session, hash_token, new_token
from users.errors import InvalidGrant
from users.password_hasher import PasswordHasher
from users.settings import Settings
from users.store import accounts, devices, sessions
from users.store.accounts import StoredPassword

DEVICES_MAX = 20
"""The known devices of an account: those that signed in last."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What the client sent, and its source. `device_token` is from an earlier sign-in."""

    email: str
    password: str
    source: str
    device_token: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    session: Session
    refresh_token: str
    device_token: str


async def sign_in(database: Database, hasher: PasswordHasher, settings: Settings, credentials: Credentials) -> SignedIn:
    """Raises `InvalidGrant`, `TooManyAttempts` or `Overloaded`."""
    email_forms = stored_email_forms(credentials.email)
    attempt = await sign_in_throttle.count_attempt(
        database,
        email=credentials.email,
        email_forms=email_forms,
        source=credentials.source,
        device_token=credentials.device_token,
    )
    stored = await database.read(lambda connection: accounts.find_password(connection, email_forms))
    try:
        is_right = await hasher.verify(credentials.password, stored.password_hash if stored else None, attempt.flow)
    except Overloaded:
        # The password was not verified, so the attempt has not failed.
        await database.run(lambda connection: sign_in_throttle.uncount_attempt(connection, attempt))
        raise
    if not is_right or stored is None:
        raise InvalidGrant
    new_hash = await _rehash(hasher, stored, credentials.password, attempt.flow)
    session_id, refresh_token = uuid7(), new_token()
    device_token = credentials.device_token if attempt.is_of_known_device else None
    device_token = device_token or new_token()

    async def begin(connection: Connection) -> Session | None:
        account = await accounts.lock(connection, stored.account_id)
        if account is None:
            return None
        await sign_in_throttle.uncount_attempt(connection, attempt)
        if new_hash is not None:
            await accounts.replace_password_hash(connection, account.id, stored.password_hash, new_hash)
        lifetime_s = settings.refresh_token_lifetime_s
        await sessions.insert(connection, session_id, account.id, lifetime_s)
        await sessions.insert_token(connection, hash_token(refresh_token), session_id, lifetime_s)
        device_hash = hash_token(device_token)
        await devices.remember(connection, device_hash, account.id, settings.device_lifetime_s, DEVICES_MAX)
        return Session(id=session_id, account_id=account.id, account_version=account.version, roles=account.roles)

    session = await database.run(begin)
    if session is None:
        raise InvalidGrant
    _log.info("signed in", user_id=str(session.account_id), session_id=str(session.id))
    return SignedIn(session=session, refresh_token=refresh_token, device_token=device_token)


async def _rehash(hasher: PasswordHasher, stored: StoredPassword, password: str, flow: str) -> str | None:
    """A hash with the present parameters, when the stored one has others: only now is the password available."""
    if not hasher.needs_rehash(stored.password_hash):
        return None
    try:
        return await hasher.hash(password, flow)
    except Overloaded:
        return None  # The next sign-in rehashes.
