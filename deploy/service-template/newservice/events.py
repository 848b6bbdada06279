"""The events of newservice: their data, and how each domain event becomes one."""

from uuid import UUID

import msgspec

from chassis.messaging.journal import Event
from newservice.domain.entry import EntryCreated

ENTRY_CREATED = "newservice.entry_created"


class EntryCreatedData(msgspec.Struct, frozen=True):
    """newservice.entry_created."""

    entry_id: UUID
    user_id: UUID


def entry_created(event: EntryCreated) -> Event:
    entry = event.entry
    return Event(type=ENTRY_CREATED, subject=str(entry.id), data=EntryCreatedData(entry.id, entry.user_id))
