"""The recipients: copies of the addresses and preferences that users reports."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement
from notifications.domain.recipient import Recipient


@dataclass(frozen=True, slots=True)
class Replaced:
    """The former version of a recipient."""

    email: str
    version: int


_KEEP_NEWEST = Statement(
    """
    INSERT INTO recipients AS known (:recipients.*)
    SELECT recipients.*
    FROM :recipients
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
    recipients=Recipient,
)


async def keep_newest(connection: Connection, recipients: Sequence[Recipient]) -> dict[UUID, Replaced | None]:
    """Store each of `recipients`, which have distinct user ids, unless a newer version is stored.

    Returns the stored ones by user id, each with the version that it replaced.
    """
    if not recipients:
        return {}
    ordered = sorted(recipients, key=lambda recipient: recipient.user_id)
    rows = await _KEEP_NEWEST.fetch(connection, recipients=ordered)
    return {row["user_id"]: None if row["version"] is None else Replaced(row["email"], row["version"]) for row in rows}


_SELECT = """
    SELECT user_id, email, name, order_emails, payment_emails, version, deleted
    FROM recipients
    WHERE user_id = ANY (:user_ids)
"""
_READ = Statement(_SELECT)
_LOCK = Statement(f"{_SELECT} ORDER BY user_id FOR SHARE")


async def read(connection: Connection, user_ids: Collection[UUID]) -> dict[UUID, Recipient]:
    """The stored recipients of `user_ids`."""
    if not user_ids:
        return {}
    rows = await _READ.fetch(connection, user_ids=list(user_ids))
    return {row["user_id"]: Recipient(**row) for row in rows}


async def lock(connection: Connection, user_ids: Collection[UUID]) -> dict[UUID, Recipient]:
    """The same, and no transaction changes or deletes them until this one ends."""
    rows = await _LOCK.fetch(connection, user_ids=list(user_ids))
    return {row["user_id"]: Recipient(**row) for row in rows}
