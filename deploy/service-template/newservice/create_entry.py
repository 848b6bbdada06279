"""Creates an entry, and emits its event in the same transaction."""

from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from newservice import events
from newservice.domain.entry import Entry, create
from newservice.errors import BlankEntry
from newservice.store import entries


async def create_entry(database: Database, user_id: UUID, text: str) -> Entry:
    """Raises `BlankEntry`."""
    if not text.strip():
        raise BlankEntry
    entry, created = create(uuid7(), user_id, text)

    async def insert(connection: Connection) -> None:
        # The transaction is run again when the answer to its COMMIT was lost. The entry then exists.
        if await entries.insert(connection, entry):
            await journal.append(connection, [events.entry_created(created)])

    await database.run(insert)
    return entry
