"""Deletes an account: its sessions end, what is personal is erased, and its e-mail address is free again.

A tombstone stays, with the id alone, so that old news of the account are never taken for new.
"""

from uuid import UUID

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.errors import LastAdministrator
from users.store import accounts, devices, sessions

_log = structlog.get_logger()


async def delete_account(database: Database, account_id: UUID) -> None:
    """A second time is no error. Raises `LastAdministrator`."""

    async def work(connection: Connection) -> None:
        administrators = await accounts.lock_administrators(connection)
        if administrators == {account_id}:
            raise LastAdministrator
        if await accounts.lock(connection, account_id) is None:
            return
        version = await accounts.erase(connection, account_id)
        await sessions.end_all(connection, account_id)
        await devices.forget_all(connection, account_id)
        await journal.append(connection, [events.deleted(account_id, version)])
        _log.info("account deleted", user_id=str(account_id))

    await database.run(work)
