"""Every SQL statement about the copy of users' names and addresses."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from orders.consumed_events import UserChanged, UserDeleted
from orders.domain.order import Customer


async def customers(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, Customer | None]:
    """The copies by user id; None for a user who was deleted. Who is not known is left out."""
    rows = await connection.fetch(
        "SELECT user_id, name, email, deleted FROM customers WHERE user_id = ANY($1::uuid[])", user_ids
    )
    return {
        row["user_id"]: None if row["deleted"] else Customer(row["user_id"], row["name"], row["email"]) for row in rows
    }


async def is_deleted(connection: Connection, user_id: UUID) -> bool:
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM customers WHERE user_id = $1 AND deleted)", user_id)
    )


async def remember(connection: Connection, users: Sequence[UserChanged]) -> None:
    """Keep name and address of each, unless what is kept is newer. Each user stands once in `users`."""
    await connection.execute(
        """
        INSERT INTO customers (user_id, name, email, version)
        SELECT user_id, name, email, version
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[]) AS new (user_id, name, email, version)
        ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET name = excluded.name, email = excluded.email, version = excluded.version
        WHERE customers.version < excluded.version AND NOT customers.deleted
        """,
        [user.user_id for user in users],
        [user.name for user in users],
        [user.email for user in users],
        [user.version for user in users],
    )


async def forget(connection: Connection, users: Sequence[UserDeleted]) -> None:
    """Erase name and address, and leave a tombstone. Orders keep their snapshot: they are business records."""
    await connection.execute(
        """
        INSERT INTO customers (user_id, name, email, version, deleted)
        SELECT user_id, '', '', version, true
        FROM unnest($1::uuid[], $2::integer[]) AS gone (user_id, version)
        ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET name = '', email = '', version = excluded.version, deleted = true
        """,
        [user.user_id for user in users],
        [user.version for user in users],
    )
