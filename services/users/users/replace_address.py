"""Replaces the stored form of an e-mail address by another form of the same address."""

from uuid import UUID

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.store import accounts


async def replace_address(database: Database, account_id: UUID, earlier: str, email: str) -> None:
    """Nothing changes when `earlier` was changed meanwhile. Raises `EmailTaken`."""

    async def replace(connection: Connection) -> None:
        account = await accounts.lock(connection, account_id)
        if account is not None and account.email == earlier:
            changed, domain_events = account.change_profile(email=email)
            await accounts.update(connection, changed)
            await journal.append(connection, events.journal_events(domain_events))

    await database.run(replace)
