"""Makes an account, once per `Idempotency-Key` and once per e-mail address.

A repetition is known by the key, by a fingerprint of address and name, and by the password, which is checked against
the kept hash: a fingerprint of the password itself would be a fast hash of it, and so a present to whoever steals it.
"""

from datetime import UTC, datetime

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis import idempotency, journal
from chassis.database import Connection, Database
from chassis.problems import KeyUsedAgain
from users import events, store_accounts
from users.account import CUSTOMER, Account, Preferences, Role, acceptable_name, normalised_email
from users.errors import EmailTaken
from users.messages import Registered, Registration
from users.passwords import Passwords
from users.store_accounts import Claim

_log = structlog.get_logger()


class _Identity(msgspec.Struct):
    email: str
    name: str


async def register(
    database: Database,
    passwords: Passwords,
    registration: Registration,
    *,
    idempotency_key: str | None = None,
    roles: tuple[Role, ...] = CUSTOMER,
) -> Registered:
    """The new account, or the one that this very request made before.

    Raises `InvalidEmail`, `InvalidName`, `EmailTaken`, `KeyUsedAgain` or `Overloaded`.
    """
    identity = _Identity(normalised_email(registration.email), acceptable_name(registration.name))
    fingerprint = idempotency.fingerprint(identity)

    async def claim(connection: Connection) -> Claim | None:
        return await store_accounts.claim_on(connection, identity.email, idempotency_key)

    # Looked up first, since a refusal should not cost a hash.
    if (claimed := await database.read(claim)) is not None:
        return await _repeated(passwords, claimed, identity, fingerprint, registration.password)

    account = Account(
        id=uuid7(),
        email=identity.email,
        name=identity.name,
        roles=roles,
        preferences=Preferences(order_emails=True, payment_emails=True),
        version=1,
        created_at=datetime.now(UTC),
    )
    password_hash = await passwords.hash(registration.password)

    async def insert(connection: Connection) -> Claim | None:
        if await store_accounts.insert(
            connection, account, password_hash, idempotency_key=idempotency_key, fingerprint=fingerprint
        ):
            await journal.append(connection, [events.registered(account)])
            return None
        return await claim(connection)

    claimed = await database.run(insert)
    if claimed is not None and claimed.account_id != account.id:
        return await _repeated(passwords, claimed, identity, fingerprint, registration.password)
    _log.info("account registered", user_id=str(account.id))
    return Registered(id=account.id, email=account.email, name=account.name, created_at=account.created_at)


async def _repeated(
    passwords: Passwords, claimed: Claim, identity: _Identity, fingerprint: bytes, password: str
) -> Registered:
    if not claimed.has_key:
        raise EmailTaken
    if claimed.fingerprint != fingerprint or not await passwords.matches(password, claimed.password_hash):
        raise KeyUsedAgain
    # As it was answered then, whatever has been changed since.
    return Registered(id=claimed.account_id, email=identity.email, name=identity.name, created_at=claimed.created_at)
