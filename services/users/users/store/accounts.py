"""The table `accounts`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from chassis.persistence.database import Connection, Row
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


async def insert(
    connection: Connection,
    account: Account,
    password_hash: str,
    *,
    idempotency_key: str | None,
    fingerprint: bytes | None,
) -> bool:
    """False when the id, the e-mail address or the key exists already."""
    row = await connection.fetchrow(
        """
        INSERT INTO accounts
            (id, email, name, password_hash, roles, order_emails, payment_emails, version, created_at,
             idempotency_key, fingerprint)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        account.id,
        account.email,
        account.name,
        password_hash,
        account.roles,
        account.preferences.order_emails,
        account.preferences.payment_emails,
        account.version,
        account.created_at,
        idempotency_key,
        fingerprint,
    )
    return row is not None


async def find_existing(connection: Connection, email: str, idempotency_key: str | None) -> ExistingAccount | None:
    """The account with the key, or else the one with the address."""
    row = await connection.fetchrow(
        """
        SELECT id, coalesce(idempotency_key = $2, false) AS has_key, fingerprint, created_at
        FROM accounts
        WHERE idempotency_key = $2 OR email = $1
        ORDER BY has_key DESC
        LIMIT 1
        """,
        email,
        idempotency_key,
    )
    return None if row is None else ExistingAccount(*row)


async def read(connection: Connection, account_id: UUID) -> Account | None:
    row = await connection.fetchrow(
        """
        SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
        FROM accounts
        WHERE id = $1 AND deleted_at IS NULL
        """,
        account_id,
    )
    return None if row is None else _account(row)


async def read_rights(connection: Connection, account_id: UUID, session_id: UUID | None) -> AccountRights | None:
    """The rights of the account, and whether `session_id` is an open session of it; None without the account."""
    row = await connection.fetchrow(
        """
        SELECT accounts.roles, accounts.roles_version, sessions.id IS NOT NULL
        FROM accounts
        LEFT JOIN sessions
          ON sessions.id = $2 AND sessions.account_id = accounts.id AND sessions.revoked_at IS NULL
        WHERE accounts.id = $1 AND accounts.deleted_at IS NULL
        """,
        account_id,
        session_id,
    )
    return None if row is None else AccountRights(tuple(row[0]), row[1], row[2])


async def lock(connection: Connection, account_id: UUID) -> Account | None:
    """The account, locked until the end of the transaction."""
    row = await connection.fetchrow(
        """
        SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
        FROM accounts
        WHERE id = $1 AND deleted_at IS NULL
        FOR UPDATE
        """,
        account_id,
    )
    return None if row is None else _account(row)


async def lock_administrators(connection: Connection) -> set[UUID]:
    """All administrators, locked until the end of the transaction. Call it before `lock`, to prevent a deadlock."""
    rows = await connection.fetch("SELECT id FROM accounts WHERE 'admin' = ANY (roles) ORDER BY id FOR UPDATE")
    return {row["id"] for row in rows}


async def has_administrator(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE 'admin' = ANY (roles))"))


async def update(connection: Connection, account: Account) -> None:
    """Write the columns that can change. Raises `EmailTaken`."""
    try:
        await connection.execute(
            """
            UPDATE accounts
            SET email = $2, name = $3, roles = $4, order_emails = $5, payment_emails = $6, version = $7,
                roles_version = CASE WHEN roles = $4 THEN roles_version ELSE $7 END
            WHERE id = $1
            """,
            account.id,
            account.email,
            account.name,
            account.roles,
            account.preferences.order_emails,
            account.preferences.payment_emails,
            account.version,
        )
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


async def erase(connection: Connection, deleted: AccountDeleted) -> None:
    """Leave a tombstone without personal data."""
    await connection.execute(
        """
        UPDATE accounts
        SET email = NULL, name = NULL, password_hash = NULL, fingerprint = NULL, roles = '{}',
            order_emails = false, payment_emails = false, version = $2, deleted_at = now()
        WHERE id = $1
        """,
        deleted.account_id,
        deleted.version,
    )


async def read_page(connection: Connection, after: UUID | None, limit: int) -> list[Account]:
    """Accounts, the newest first."""
    rows = await connection.fetch(
        """
        SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
        FROM accounts
        WHERE deleted_at IS NULL AND id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        ORDER BY id DESC
        LIMIT $2
        """,
        after,
        limit,
    )
    return [_account(row) for row in rows]


async def read_international_addresses(
    connection: Connection, after: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """Ids and addresses of accounts whose address an earlier release may have stored in another form, by id."""
    rows = await connection.fetch(
        r"""
        SELECT id, email
        FROM accounts
        WHERE (email ~ '[^\x01-\x7e]' OR email ~ '[@.]xn--') AND ($1::uuid IS NULL OR id > $1)
        ORDER BY id
        LIMIT $2
        """,
        after,
        limit,
    )
    return [(row["id"], row["email"]) for row in rows]


async def read_many(connection: Connection, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that exist, in no order."""
    rows = await connection.fetch(
        """
        SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
        FROM accounts
        WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL
        """,
        account_ids,
    )
    return [_account(row) for row in rows]


async def find_password(connection: Connection, email_forms: Sequence[str]) -> StoredPassword | None:
    """The password of the account with the first of these addresses that has an account."""
    row = await connection.fetchrow(
        """
        SELECT id, password_hash
        FROM accounts
        WHERE email = ANY ($1::text[])
        ORDER BY array_position($1, email)
        LIMIT 1
        """,
        email_forms,
    )
    return None if row is None else StoredPassword(*row)


async def replace_password_hash(connection: Connection, account_id: UUID, old: str, new: str) -> None:
    """Replace `old` by another hash of the same password, unless `old` was replaced meanwhile."""
    await connection.execute(
        "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2", account_id, old, new
    )


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
