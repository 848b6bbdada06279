"""Consumes the deletions of accounts."""

from collections.abc import Sequence

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from newservice.consumed_events import UserDeleted
from newservice.store import entries

TYPES = ("user.deleted",)


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    """Delete the entries of deleted accounts, in the transaction of the inbox."""
    user_ids = [envelope.read(event, UserDeleted).user_id for event in events]
    await entries.delete_of_users(connection, user_ids)
