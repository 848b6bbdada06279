"""Finds the addresses of people whom a message waits for, and of whom no event has told yet: users is asked.

It is asked outside any transaction, and apart from the consumer: while users is down, only these messages wait.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.persistence.database import Connection, Database
from notifications import store_notifications, store_recipients
from notifications.messages import UserFound
from notifications.notification import Recipient, reason_not_to_send
from notifications.users import Users

USERS_MAX = 256
_log = structlog.get_logger()


class FindAddresses:
    """A turn of a loop: True when something was found out."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users

    async def __call__(self) -> bool:
        user_ids = await self._database.read(lambda c: store_notifications.users_without_address(c, USERS_MAX))
        if not user_ids:
            return False
        found = await self._users.look_up(user_ids)
        await self._database.run(lambda connection: _settle(connection, user_ids, found))
        _log.info("addresses were asked for", asked=len(user_ids), found=len(found))
        return True


async def _settle(connection: Connection, user_ids: Sequence[UUID], found: Sequence[UserFound]) -> None:
    await store_recipients.keep_newest(connection, [_recipient(user) for user in found])
    people = await store_recipients.read(connection, user_ids)
    for notification in await store_notifications.lock_without_address(connection, user_ids):
        assert notification.user_id is not None, "it was found by it"
        recipient = people.get(notification.user_id)
        # Whom users does not know is deleted, or never was.
        code = "recipient_unknown" if recipient is None else reason_not_to_send(notification.kind, recipient)
        if code is not None:
            await store_notifications.suppress(connection, notification.id, code)
        else:
            assert recipient is not None, "else there is a code"
            await store_notifications.set_address(connection, notification.id, recipient.email)


def _recipient(user: UserFound) -> Recipient:
    return Recipient(
        user_id=user.id,
        email=user.email,
        name=user.name,
        order_emails=user.preferences.order_emails,
        payment_emails=user.preferences.payment_emails,
        version=user.version,
    )
