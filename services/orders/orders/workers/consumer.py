"""Consumes events of users and payments: copies names, addresses and refunds, and follows the deletion of accounts."""

from collections.abc import Sequence
from uuid import UUID

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from orders import store
from orders.consumed_events import PaymentEvent, UserChanged, UserDeleted
from orders.domain.order import ACCOUNT_DELETED

USERS = ("user.registered", "user.updated", "user.deleted")
PAYMENTS = (store.payment_events.VOIDED, store.payment_events.REFUNDED)
"""No captures: each purchase has one, and a confirmed order does not show it."""
TYPES = (*USERS, *PAYMENTS)


async def handle_events(connection: Connection, events: Sequence[Envelope]) -> None:
    if of_users := [event for event in events if event.type in USERS]:
        await remember_users(connection, of_users)
    if of_payments := [(event, envelope.read(event, PaymentEvent)) for event in events if event.type in PAYMENTS]:
        await store.payment_events.remember(connection, of_payments)


async def remember_users(connection: Connection, events: Sequence[Envelope]) -> None:
    """Store the newest version of each user. Events may arrive in any order."""
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
        await store.customers.remember(connection, list(changed.values()))
    if deleted:
        await follow_deletion(connection, list(deleted.values()))


async def follow_deletion(connection: Connection, users: Sequence[UserDeleted]) -> None:
    """Cancel pending orders, and erase name, address and cart. Confirmed orders go on.

    An order that is placed concurrently meets the tombstone at its confirmation, and is cancelled then.
    """
    user_ids = [user.user_id for user in users]
    await store.checkout.begin_compensation_of_users(connection, user_ids, ACCOUNT_DELETED)
    await store.customers.forget(connection, users)
    # The new version keeps the lines of the cancelled orders from being restored.
    await store.carts.begin_change(connection, user_ids)
    await store.carts.remove(connection, user_ids)
