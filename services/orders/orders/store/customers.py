"""Every SQL statement about the copy of users' names and addresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement
from orders.consumed_events import UserChanged, UserDeleted
from orders.domain.order import Customer

_CUSTOMERS = Statement("SELECT user_id, name, email, deleted FROM customers WHERE user_id = ANY (:user_ids)")


async def customers(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, Customer | None]:
    """The copies by user id; None for a user who was deleted. Who is not known is left out."""
    rows = await _CUSTOMERS.fetch(connection, user_ids=user_ids)
    return {
        row["user_id"]: None if row["deleted"] else Customer(row["user_id"], row["name"], row["email"]) for row in rows
    }


_IS_DELETED = Statement("SELECT EXISTS (SELECT FROM customers WHERE user_id = :user_id AND deleted)")


async def is_deleted(connection: Connection, user_id: UUID) -> bool:
    return bool(await _IS_DELETED.fetchval(connection, user_id=user_id))


@dataclass(slots=True)
class _CustomerRow:
    user_id: UUID
    name: str
    email: str
    version: int


_REMEMBER = Statement(
    """
    INSERT INTO customers (:changed.*)
    SELECT changed.*
    FROM :changed
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET name = excluded.name, email = excluded.email, version = excluded.version
    WHERE customers.version < excluded.version AND NOT customers.deleted
    """,
    changed=_CustomerRow,
)


async def remember(connection: Connection, users: Sequence[UserChanged]) -> None:
    """Keep name and address of each, unless what is kept is newer. Each user stands once in `users`."""
    changed = [
        _CustomerRow(user_id=user.user_id, name=user.name, email=user.email, version=user.version) for user in users
    ]
    await _REMEMBER.execute(connection, changed=changed)


@dataclass(slots=True)
class _TombstoneRow:
    user_id: UUID
    version: int


_FORGET = Statement(
    """
    INSERT INTO customers (user_id, name, email, version, deleted)
    SELECT user_id, '', '', version, true
    FROM :tombstones
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE
    SET name = '', email = '', version = excluded.version, deleted = true
    """,
    tombstones=_TombstoneRow,
)


async def forget(connection: Connection, users: Sequence[UserDeleted]) -> None:
    """Erase name and address, and leave a tombstone. Orders keep their snapshot: they are business records."""
    tombstones = [_TombstoneRow(user_id=user.user_id, version=user.version) for user in users]
    await _FORGET.execute(connection, tombstones=tombstones)
