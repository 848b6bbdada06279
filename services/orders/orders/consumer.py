"""What orders does about events of users: keeps the copy of names and addresses."""

from collections.abc import Sequence
from uuid import UUID

from chassis import envelope
from chassis.database import Connection
from chassis.envelope import Envelope
from orders import store_customers
from orders.messages import UserChanged, UserDeleted

TYPES = ("user.registered", "user.updated", "user.deleted")


async def remember_users(connection: Connection, events: Sequence[Envelope]) -> None:
    """Keep the newest of each user; they may come in any order."""
    changed: dict[UUID, UserChanged] = {}
    deleted: dict[UUID, UserDeleted] = {}
    for event in events:
        if event.type == "user.deleted":
            gone = envelope.read(event, UserDeleted)
            deleted[gone.user_id] = gone
        else:
            user = envelope.read(event, UserChanged)
            if user.user_id not in changed or changed[user.user_id].version < user.version:
                changed[user.user_id] = user
    if changed:
        await store_customers.remember(connection, list(changed.values()))
    if deleted:
        await store_customers.forget(connection, list(deleted.values()))
