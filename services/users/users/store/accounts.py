"""The table `accounts`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement
from users.domain.account import Account, AccountDeleted, Preferences, Role
from users.errors import EmailTaken


class StoredPassword(msgspec.Struct, frozen=True):
    account_id: UUID
    password_hash: str


class ExistingAccount(msgspec.Struct, frozen=True):
    """The account that a registration collides with: it has the same idempotency key, or the same e-mail address.

    Of a deleted account only the key is left.
    """

    account_id: UUID
    has_key: bool
    fingerprint: bytes | None
    created_at: datetime


class AccountRights(msgspec.Struct, frozen=True):
    """`roles_version` is the version of the account at the last change of its roles."""

    roles: tuple[Role, ...]
    roles_version: int
    is_session_open: bool


_SELECT = """
    SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
    FROM accounts
"""
_INSERT = Statement(
    """
    INSERT INTO accounts
        (id, email, name, password_hash, roles, order_emails, payment_emails, version, created_at,
         idempotency_key, fingerprint)
    VALUES (:id, :email, :name, :password_hash, :roles, :order_emails, :payment_emails, :version, :created_at,
            :idempotency_key, :fingerprint)
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)


async def insert(
    connection: Connection,
    account: Account,
    password_hash: str,
    *,
    idempotency_key: str | None,
    fingerprint: bytes | None,
) -> bool:
    """False when the id, the e-mail address or the key exists already."""
    row = await _INSERT.fetchrow(
        connection,
        id=account.id,
        email=account.email,
        name=account.name,
        password_hash=password_hash,
        roles=account.roles,
        order_emails=account.preferences.order_emails,
        payment_emails=account.preferences.payment_emails,
        version=account.version,
        created_at=account.created_at,
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
    )
    return row is not None


_FIND_EXISTING = Statement(
    """
    SELECT id, coalesce(idempotency_key = :idempotency_key, false) AS has_key, fingerprint, created_at
    FROM accounts
    WHERE idempotency_key = :idempotency_key OR email = :email
    ORDER BY has_key DESC
    LIMIT 1
    """
)


async def find_existing(connection: Connection, email: str, idempotency_key: str | None) -> ExistingAccount | None:
    """The account with the key, or else the one with the address."""
    row = await _FIND_EXISTING.fetchrow(connection, email=email, idempotency_key=idempotency_key)
    return None if row is None else ExistingAccount(*row)


_READ = Statement(
    _SELECT
    + """
    WHERE id = :id AND deleted_at IS NULL
    """
)


async def read(connection: Connection, account_id: UUID) -> Account | None:
    row = await _READ.fetchrow(connection, id=account_id)
    return None if row is None else _account(row)


_READ_RIGHTS = Statement(
    """
    SELECT accounts.roles, accounts.roles_version, sessions.id IS NOT NULL
    FROM accounts
    LEFT JOIN sessions
      ON sessions.id = :session_id AND sessions.account_id = accounts.id AND sessions.revoked_at IS NULL
    WHERE accounts.id = :account_id AND accounts.deleted_at IS NULL
    """
)


async def read_rights(connection: Connection, account_id: UUID, session_id: UUID | None) -> AccountRights | None:
    """The rights of the account, and whether `session_id` is an open session of it; None without the account."""
    row = await _READ_RIGHTS.fetchrow(connection, account_id=account_id, session_id=session_id)
    return None if row is None else AccountRights(tuple(row[0]), row[1], row[2])


_LOCK = Statement(
    _SELECT
    + """
    WHERE id = :id AND deleted_at IS NULL
    FOR UPDATE
    """
)


async def lock(connection: Connection, account_id: UUID) -> Account | None:
    """The account, locked until the end of the transaction."""
    row = await _LOCK.fetchrow(connection, id=account_id)
    return None if row is None else _account(row)


_LOCK_ADMINISTRATORS = Statement("SELECT id FROM accounts WHERE 'admin' = ANY (roles) ORDER BY id FOR UPDATE")


async def lock_administrators(connection: Connection) -> set[UUID]:
    """All administrators, locked until the end of the transaction. Call it before `lock`, to prevent a deadlock."""
    rows = await _LOCK_ADMINISTRATORS.fetch(connection)
    return {row["id"] for row in rows}


_HAS_ADMINISTRATOR = Statement("SELECT EXISTS (SELECT FROM accounts WHERE 'admin' = ANY (roles))")


async def has_administrator(connection: Connection) -> bool:
    return bool(await _HAS_ADMINISTRATOR.fetchval(connection))


_UPDATE = Statement(
    """
    UPDATE accounts
    SET email = :email, name = :name, roles = :roles, order_emails = :order_emails,
        payment_emails = :payment_emails, version = :version,
        roles_version = CASE WHEN roles = :roles THEN roles_version ELSE :version END
    WHERE id = :id
    """
)


async def update(connection: Connection, account: Account) -> None:
    """Write the columns that can change. Raises `EmailTaken`."""
    try:
        await _UPDATE.execute(
            connection,
            id=account.id,
            email=account.email,
            name=account.name,
            roles=account.roles,
            order_emails=account.preferences.order_emails,
            payment_emails=account.preferences.payment_emails,
            version=account.version,
        )
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


_ERASE = Statement(
    """
    UPDATE accounts
    SET email = NULL, name = NULL, password_hash = NULL, fingerprint = NULL, roles = '{}',
        order_emails = false, payment_emails = false, version = :version, deleted_at = now()
    WHERE id = :id
    """
)


async def erase(connection: Connection, deleted: AccountDeleted) -> None:
    """Leave a tombstone without personal data."""
    await _ERASE.execute(connection, id=deleted.account_id, version=deleted.version)


_READ_PAGE = Statement(
    _SELECT
    + """
    WHERE deleted_at IS NULL AND id < coalesce(:after::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ORDER BY id DESC
    LIMIT :limit
    """
)


async def read_page(connection: Connection, after: UUID | None, limit: int) -> list[Account]:
    """Accounts, the newest first."""
    rows = await _READ_PAGE.fetch(connection, after=after, limit=limit)
    return [_account(row) for row in rows]


_READ_INTERNATIONAL_ADDRESSES = Statement(
    r"""
    SELECT id, email
    FROM accounts
    WHERE (email ~ '[^\x01-\x7e]' OR email ~ '[@.]xn--') AND (:after::uuid IS NULL OR id > :after)
    ORDER BY id
    LIMIT :limit
    """
)


async def read_international_addresses(
    connection: Connection, after: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """Ids and addresses of accounts whose address an earlier release may have stored in another form, by id."""
    rows = await _READ_INTERNATIONAL_ADDRESSES.fetch(connection, after=after, limit=limit)
    return [(row["id"], row["email"]) for row in rows]


_READ_MANY = Statement(
    _SELECT
    + """
    WHERE id = ANY (:ids::uuid[]) AND deleted_at IS NULL
    """
)


async def read_many(connection: Connection, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that exist, in no order."""
    rows = await _READ_MANY.fetch(connection, ids=account_ids)
    return [_account(row) for row in rows]


_FIND_PASSWORD = Statement(
    """
    SELECT id, password_hash
    FROM accounts
    WHERE email = ANY (:email_forms::text[])
    ORDER BY array_position(:email_forms, email)
    LIMIT 1
    """
)


async def find_password(connection: Connection, email_forms: Sequence[str]) -> StoredPassword | None:
    """The password of the account with the first of these addresses that has an account."""
    row = await _FIND_PASSWORD.fetchrow(connection, email_forms=email_forms)
    return None if row is None else StoredPassword(*row)


_REPLACE_PASSWORD_HASH = Statement("UPDATE accounts SET password_hash = :new WHERE id = :id AND password_hash = :old")


async def replace_password_hash(connection: Connection, account_id: UUID, old: str, new: str) -> None:
    """Replace `old` by another hash of the same password, unless `old` was replaced meanwhile."""
    await _REPLACE_PASSWORD_HASH.execute(connection, id=account_id, old=old, new=new)


def _account(row: Row) -> Account:
    roles: list[Role] = row["roles"]
    return Account(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        roles=tuple(roles),
        preferences=Preferences(order_emails=row["order_emails"], payment_emails=row["payment_emails"]),
        version=row["version"],
        created_at=row["created_at"],
    )
