"""Erases what payments stores about deleted accounts.

Saved methods are deleted at once, in the transaction of the inbox; a tombstone keeps the account from saving another.
An open payment goes on to be settled, and its token is erased when it has ended (`workers/token_eraser.py`). The rest
of a payment is an accounting record: amounts, times, and what a receipt may show (brand and last four digits).
"""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from payments import store


async def erase_payment_methods(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Idempotent: the event of a deletion may arrive more than once."""
    for user_id in sorted(set(user_ids)):
        await store.payment_methods.lock_user(connection, user_id)
    await store.deleted_users.add_tombstones(connection, user_ids)
    await store.deleted_users.remove_methods(connection, user_ids)
