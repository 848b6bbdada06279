"""Deletes an account: its sessions end, personal data is erased, and its e-mail address is free again.

A tombstone with id and version stays, so that consumers recognise outdated events of the account.
"""

from uuid import UUID

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.domain.account import NoAdministratorLeft
from users.errors import LastAdministrator
from users.store import accounts, devices, sessions

_log = structlog.get_logger()


async def delete_account(database: Database, account_id: UUID) -> None:
    """Idempotent. Raises `LastAdministrator`."""

    async def delete(connection: Connection) -> None:
        administrators = await accounts.lock_administrators(connection)
        account = await accounts.lock(connection, account_id)
        if account is None:
            return
        try:
            deleted = account.delete(administrators=administrators)
        except NoAdministratorLeft:
            raise LastAdministrator from None
        await accounts.erase(connection, deleted)
        await sessions.delete_all(connection, account_id)
        await devices.delete_all(connection, account_id)
        await journal.append(connection, events.journal_events([deleted]))
        _log.info("account deleted", user_id=str(account_id))

    await database.run(delete)
