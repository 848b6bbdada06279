"""Makes an account, once per `Idempotency-Key` and once per e-mail address.

A client that registers is not signed in, so a key belongs to the address that it registers: the same key for another
address is another request. The password is no part of what makes two requests the same: an answer that depended on it
would let a client that knows the key try passwords, past every throttle of the sign-in.
"""

import hashlib
from datetime import UTC, datetime

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.problems import KeyUsedAgain
from chassis.values import visible_text
from chassis.web import idempotency
from users import events
from users.domain.account import CUSTOMER, Account, Preferences, Role, normalised_email
from users.domain.common_passwords import is_weak
from users.errors import EmailTaken, WeakPassword
from users.http.schemas import Registered, Registration
from users.password_hashing.hasher import Passwords
from users.store import accounts
from users.store.accounts import Claim

_log = structlog.get_logger()


class _Identity(msgspec.Struct):
    email: str
    name: str


async def register(
    database: Database,
    passwords: Passwords,
    registration: Registration,
    *,
    source: str,
    idempotency_key: str | None = None,
    roles: tuple[Role, ...] = CUSTOMER,
) -> Registered:
    """The new account, or the one that this very request made before.

    `source` is whose line the password takes in the queue. Raises `InvalidEmail`, `InvalidName`, `WeakPassword`,
    `EmailTaken`, `KeyUsedAgain` or `Overloaded`.
    """
    identity = _Identity(normalised_email(registration.email), visible_text.name(registration.name))
    if is_weak(registration.password, email=identity.email, name=identity.name):
        raise WeakPassword
    fingerprint = idempotency.fingerprint(identity)
    key = None if idempotency_key is None else _key_of_address(identity.email, idempotency_key)

    async def claim(connection: Connection) -> Claim | None:
        return await accounts.claim_on(connection, identity.email, key)

    # Looked up first, since a refusal should not cost a hash.
    if (claimed := await database.read(claim)) is not None:
        return _repeated(claimed, identity, fingerprint)

    account = Account(
        id=uuid7(),
        email=identity.email,
        name=identity.name,
        roles=roles,
        preferences=Preferences(order_emails=True, payment_emails=True),
        version=1,
        created_at=datetime.now(UTC),
    )
    password_hash = await passwords.hash(registration.password, source)

    async def insert(connection: Connection) -> Claim | None:
        if await accounts.insert(connection, account, password_hash, idempotency_key=key, fingerprint=fingerprint):
            await journal.append(connection, [events.registered(account)])
            return None
        return await claim(connection)

    claimed = await database.run(insert)
    if claimed is not None and claimed.account_id != account.id:
        return _repeated(claimed, identity, fingerprint)
    _log.info("account registered", user_id=str(account.id))
    return Registered(id=account.id, email=account.email, name=account.name, created_at=account.created_at)


def _key_of_address(email: str, key: str) -> str:
    """What is kept of a key: it outlives the account, and so must not hold the address in the clear."""
    return hashlib.sha256(f"{email}\0{key}".encode()).hexdigest()


def _repeated(claimed: Claim, identity: _Identity, fingerprint: bytes) -> Registered:
    if not claimed.has_key:
        raise EmailTaken
    if claimed.fingerprint != fingerprint:
        raise KeyUsedAgain
    # As it was answered then, whatever has been changed since.
    return Registered(id=claimed.account_id, email=identity.email, name=identity.name, created_at=claimed.created_at)
