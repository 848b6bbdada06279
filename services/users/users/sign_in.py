"""Begins a session for an e-mail address and its password.

An address without an account takes as long and is refused in the same words as a wrong password. After ten failures in
a row there is a pause before each further attempt, for the account and whoever tries; a pause and no lock, so that
nobody can shut a person out for good. Sessions that are there go on meanwhile.
"""

import hashlib

import structlog
from uuid_utils.compat import uuid7

from chassis.database import Connection, Database
from chassis.problems import Overloaded
from users import store_accounts, store_sessions
from users.account import normalised_email
from users.errors import InvalidEmail, InvalidGrant, TooManyAttempts
from users.passwords import Passwords
from users.session import Session, hash_of, new_refresh_token
from users.store_accounts import KeptPassword

ATTEMPTS_FREE = 10
PAUSE_S = TooManyAttempts.retry_after_s
FORGOTTEN_AFTER_S = 3600.0
_log = structlog.get_logger()


async def sign_in(
    database: Database, passwords: Passwords, *, email: str, password: str, refresh_token_lifetime_s: int
) -> tuple[Session, str]:
    """The session and its first refresh token. Raises `InvalidGrant`, `TooManyAttempts` or `Overloaded`."""
    address = _address(email)
    email_hash = hashlib.sha256((address or email).encode("utf-8", "surrogatepass")).digest()

    async def take_attempt(connection: Connection) -> bool:
        return await store_accounts.take_attempt(
            connection, email_hash, free=ATTEMPTS_FREE, pause_s=PAUSE_S, forgotten_after_s=FORGOTTEN_AFTER_S
        )

    if not await database.run(take_attempt):
        _log.warning("sign-in held back after failures")
        raise TooManyAttempts
    kept = None
    if address is not None:
        kept = await database.read(lambda connection: store_accounts.kept_password(connection, address))
    try:
        matches = await passwords.matches(password, kept.password_hash if kept else None)
    except Overloaded:
        # It was not looked at, so it has not failed: an overload must not end in a pause for the person.
        await database.run(lambda connection: store_accounts.give_attempt_back(connection, email_hash))
        raise
    if not matches or kept is None:
        raise InvalidGrant
    better_hash = await _better_hash(passwords, kept, password)
    session_id, refresh_token = uuid7(), new_refresh_token()

    async def begin(connection: Connection) -> Session | None:
        account = await store_accounts.lock(connection, kept.account_id)
        if account is None:
            return None
        await store_accounts.forget_attempts(connection, email_hash)
        if better_hash is not None:
            await store_accounts.replace_password_hash(connection, account.id, kept.password_hash, better_hash)
        await store_sessions.insert(connection, session_id, account.id, refresh_token_lifetime_s)
        await store_sessions.insert_token(connection, hash_of(refresh_token), session_id, refresh_token_lifetime_s)
        return Session(id=session_id, account_id=account.id, account_version=account.version, roles=account.roles)

    session = await database.run(begin)
    if session is None:
        raise InvalidGrant
    _log.info("signed in", user_id=str(session.account_id), session_id=str(session.id))
    return session, refresh_token


async def _better_hash(passwords: Passwords, kept: KeptPassword, password: str) -> str | None:
    """A hash with today's parameters, when the kept one is of yesterday's: only now is the password at hand."""
    if not passwords.is_outdated(kept.password_hash):
        return None
    try:
        return await passwords.hash(password)
    except Overloaded:
        return None  # The next sign-in will do.


def _address(given: str) -> str | None:
    """The address as it is kept; None for what cannot be one, and so has no account."""
    try:
        return normalised_email(given)
    except InvalidEmail:
        return None
