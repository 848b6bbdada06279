"""The recipients: copies of the addresses and preferences that users reports."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection
from notifications.domain.recipient import Recipient


@dataclass(frozen=True, slots=True)
class Replaced:
    """The former version of a recipient."""

    email: str
    version: int


async def keep_newest(connection: Connection, recipients: Sequence[Recipient]) -> dict[UUID, Replaced | None]:
    """Store each of `recipients`, which have distinct user ids, unless a newer version is stored.

    Returns the stored ones by user id, each with the version that it replaced.
    """
    if not recipients:
        return {}
    ordered = sorted(recipients, key=lambda recipient: recipient.user_id)
    rows = await connection.fetch(
        """
        INSERT INTO recipients AS known (user_id, email, name, order_emails, payment_emails, version, deleted)
        SELECT user_id, email, name, order_emails, payment_emails, version, deleted
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::boolean[], $6::bigint[], $7::boolean[])
             AS reported (user_id, email, name, order_emails, payment_emails, version, deleted)
        ON CONFLICT (user_id) DO UPDATE
        SET email = excluded.email,
            name = excluded.name,
            order_emails = excluded.order_emails,
            payment_emails = excluded.payment_emails,
            version = excluded.version,
            deleted = excluded.deleted
        WHERE known.version < excluded.version
        RETURNING known.user_id, old.email, old.version
        """,
        [recipient.user_id for recipient in ordered],
        [recipient.email for recipient in ordered],
        [recipient.name for recipient in ordered],
        [recipient.order_emails for recipient in ordered],
        [recipient.payment_emails for recipient in ordered],
        [recipient.version for recipient in ordered],
        [recipient.deleted for recipient in ordered],
    )
    return {row["user_id"]: None if row["version"] is None else Replaced(row["email"], row["version"]) for row in rows}


_SELECT = """
    SELECT user_id, email, name, order_emails, payment_emails, version, deleted
    FROM recipients
    WHERE user_id = ANY($1::uuid[])
"""


async def read(connection: Connection, user_ids: Collection[UUID]) -> dict[UUID, Recipient]:
    """The stored recipients of `user_ids`."""
    if not user_ids:
        return {}
    rows = await connection.fetch(_SELECT, list(user_ids))
    return {row["user_id"]: Recipient(**row) for row in rows}


async def lock(connection: Connection, user_ids: Collection[UUID]) -> dict[UUID, Recipient]:
    """The same, and no transaction changes or deletes them until this one ends."""
    rows = await connection.fetch(f"{_SELECT} ORDER BY user_id FOR SHARE", list(user_ids))
    return {row["user_id"]: Recipient(**row) for row in rows}
