"""Every SQL statement about accounts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.persistence.database import Connection, Row
from users.domain.account import Account, Preferences, Role


class KeptPassword(msgspec.Struct, frozen=True):
    account_id: UUID
    password_hash: str


class Claim(msgspec.Struct, frozen=True):
    """What stands in the way of a new account: one that has its key, or its e-mail address.

    Of a deleted account only the key is left.
    """

    account_id: UUID
    has_key: bool
    fingerprint: bytes | None
    created_at: datetime


async def insert(
    connection: Connection,
    account: Account,
    password_hash: str,
    *,
    idempotency_key: str | None,
    fingerprint: bytes | None,
) -> bool:
    """Whether the account was new. It is not when its e-mail address or its key is another's, or when it is there."""
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


async def claim_on(connection: Connection, email: str, idempotency_key: str | None) -> Claim | None:
    """The account that has the key, or else the one that has the address."""
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
    return None if row is None else Claim(*row)


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


class Rights(msgspec.Struct, frozen=True):
    """`roles_version` is the version of the account since its roles changed last."""

    roles: tuple[Role, ...]
    roles_version: int
    is_session_active: bool


async def rights(connection: Connection, account_id: UUID, session_id: UUID | None) -> Rights | None:
    """The rights of the account, and whether `session_id` is an active session of it; None without the account."""
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
    return None if row is None else Rights(tuple(row[0]), row[1], row[2])


async def lock(connection: Connection, account_id: UUID) -> Account | None:
    """The account, which nobody else changes until this transaction ends."""
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
    """The administrators, none of whom stops to be one until this transaction ends. To be called before `lock`."""
    rows = await connection.fetch("SELECT id FROM accounts WHERE 'admin' = ANY (roles) ORDER BY id FOR UPDATE")
    return {row["id"] for row in rows}


async def is_there_an_administrator(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE 'admin' = ANY (roles))"))


async def update(connection: Connection, account: Account) -> None:
    """Write what can change of an account. Raises `asyncpg.UniqueViolationError` when its address is another's."""
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


async def erase(connection: Connection, account_id: UUID) -> int:
    """Leave a tombstone, which keeps nothing about the person. Answers its version."""
    version: int = await connection.fetchval(
        """
        UPDATE accounts
        SET email = NULL, name = NULL, password_hash = NULL, fingerprint = NULL, roles = '{}',
            order_emails = false, payment_emails = false, version = version + 1, deleted_at = now()
        WHERE id = $1
        RETURNING version
        """,
        account_id,
    )
    return version


async def page(connection: Connection, after: UUID | None, limit: int) -> list[Account]:
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


async def international_addresses(connection: Connection, after: UUID | None, limit: int) -> list[tuple[UUID, str]]:
    """Accounts whose address earlier releases may have kept in another form, in the order of their ids."""
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


async def find(connection: Connection, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that there are, in no order."""
    rows = await connection.fetch(
        """
        SELECT id, email, name, roles, order_emails, payment_emails, version, created_at
        FROM accounts
        WHERE id = ANY ($1::uuid[]) AND deleted_at IS NULL
        """,
        account_ids,
    )
    return [_account(row) for row in rows]


async def kept_password(connection: Connection, spellings: Sequence[str]) -> KeptPassword | None:
    """The account that has the first of the spellings that has one."""
    row = await connection.fetchrow(
        """
        SELECT id, password_hash
        FROM accounts
        WHERE email = ANY ($1::text[])
        ORDER BY array_position($1, email)
        LIMIT 1
        """,
        spellings,
    )
    return None if row is None else KeptPassword(*row)


async def replace_password_hash(connection: Connection, account_id: UUID, old: str, new: str) -> None:
    """Put a new hash of the same password in place of `old`, unless that was replaced meanwhile."""
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
