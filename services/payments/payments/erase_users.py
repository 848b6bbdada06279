"""Erases what payments keep of deleted accounts.

Saved methods go at once, in the transaction of the inbox, and a tombstone keeps the account from saving another. A
payment that is open goes on to be settled; its token goes when it has its end. What stays of a payment is a record of
the books: amounts, times, and what may be printed on a receipt (brand and last four digits).
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.persistence.database import Connection, Database
from payments import store

USERS_MAX = 100
_log = structlog.get_logger()


async def erase_methods(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Twice is no mistake."""
    for user_id in sorted(set(user_ids)):
        await store.payment_methods.lock_wallet(connection, user_id)
    await store.deleted_users.add_tombstones(connection, user_ids)
    await store.deleted_users.remove_methods(connection, user_ids)


class EraseTokens:
    """A turn of a loop: tokens of payments that have come to their end since."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> bool:
        done = await self._database.run_statement(
            lambda connection: store.deleted_users.erase_tokens(connection, USERS_MAX)
        )
        if done:
            _log.info("payments of deleted accounts were erased", accounts=done)
        return False
