"""Creates an account, once per `Idempotency-Key` and once per e-mail address.

A client that registers is not signed in, so a key belongs to the address that it registers: the same key with another
address is another request. The password is not compared when a request is repeated. Otherwise a client that knows the
key could try passwords, past all sign-in limits.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.values import visible_text
from chassis.web import idempotency
from users import events
from users.domain.account import CUSTOMER, Account, Role
from users.domain.common_passwords import is_weak
from users.email_input import accept_email
from users.errors import EmailTaken, WeakPassword
from users.password_hasher import PasswordHasher
from users.store import accounts
from users.store.accounts import ExistingAccount

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RegisteredAccount:
    """The account as it was registered: later changes are not in it."""

    id: UUID
    email: str
    name: str
    created_at: datetime


class _Identity(msgspec.Struct, frozen=True):
    email: str
    name: str


async def register_account(
    database: Database,
    hasher: PasswordHasher,
    *,
    email: str,
    name: str,
    password: str,
    source: str,
    idempotency_key: str | None = None,
    roles: tuple[Role, ...] = CUSTOMER,
) -> RegisteredAccount:
    """The new account, or the one that the same request created before.

    `source` is the request's flow in the queue of password hashes. Raises `InvalidEmail`, `InvalidName`,
    `WeakPassword`, `EmailTaken`, `KeyUsedAgain` or `Overloaded`.
    """
    identity = _Identity(accept_email(email), visible_text.name(name))
    if is_weak(password, email=identity.email, name=identity.name):
        raise WeakPassword
    fingerprint = idempotency.fingerprint(identity)
    key = None if idempotency_key is None else _key_digest(identity.email, idempotency_key)

    async def find_existing(connection: Connection) -> ExistingAccount | None:
        return await accounts.find_existing(connection, identity.email, key)

    # Before the hash, since a refusal should not cost one.
    if (existing := await database.read(find_existing)) is not None:
        return _answer_of(existing, identity, fingerprint)

    account, domain_events = Account.register(
        account_id=uuid7(), email=identity.email, name=identity.name, roles=roles, created_at=datetime.now(UTC)
    )
    password_hash = await hasher.hash(password, source)

    async def insert(connection: Connection) -> ExistingAccount | None:
        if await accounts.insert(connection, account, password_hash, idempotency_key=key, fingerprint=fingerprint):
            await journal.append(connection, events.journal_events(domain_events))
            return None
        return await find_existing(connection)

    existing = await database.run(insert)
    if existing is not None and existing.account_id != account.id:
        return _answer_of(existing, identity, fingerprint)
    _log.info("account registered", user_id=str(account.id))
    return RegisteredAccount(id=account.id, email=account.email, name=account.name, created_at=account.created_at)


def _key_digest(email: str, key: str) -> str:
    """The stored form of a key. It outlives the account, and so must not contain the address in plaintext."""
    return hashlib.sha256(f"{email}\0{key}".encode()).hexdigest()


def _answer_of(existing: ExistingAccount, identity: _Identity, fingerprint: bytes) -> RegisteredAccount:
    if not existing.has_key:
        raise EmailTaken
    idempotency.check_same_request(existing.fingerprint, fingerprint)
    return RegisteredAccount(
        id=existing.account_id, email=identity.email, name=identity.name, created_at=existing.created_at
    )
