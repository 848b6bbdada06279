"""Finds the addresses of recipients that no event has reported yet, by a call to users.

The call is made outside a transaction and apart from the consumer: while users is down, only these messages wait.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.persistence.database import Connection, Database
from notifications.clients.users import UserFound, Users
from notifications.domain.recipient import suppression_code
from notifications.store import notifications, recipients

USERS_MAX = 256
_log = structlog.get_logger()


async def find_addresses(database: Database, users: Users) -> bool:
    """Look up the recipients of pending messages without an address. True when there were some."""
    user_ids = await database.read(lambda c: notifications.users_without_address(c, USERS_MAX))
    if not user_ids:
        return False
    found = await users.look_up(user_ids)
    await database.run(lambda connection: _set_addresses(connection, user_ids, found))
    _log.info("addresses looked up", requested=len(user_ids), found=len(found))
    return True


async def _set_addresses(connection: Connection, user_ids: Sequence[UUID], found: Sequence[UserFound]) -> None:
    await recipients.keep_newest(connection, [user.recipient() for user in found])
    known = await recipients.read(connection, user_ids)
    for notification in await notifications.lock_without_address(connection, user_ids):
        assert notification.user_id is not None, "it was selected by its user id"
        recipient = known.get(notification.user_id)
        # An account that users does not know is deleted, or never existed.
        code = "recipient_unknown" if recipient is None else suppression_code(notification.kind, recipient)
        if code is not None:
            await notifications.suppress(connection, notification.id, code)
        else:
            assert recipient is not None, "without a recipient there is a code"
            await notifications.set_address(connection, notification.id, recipient.email)
