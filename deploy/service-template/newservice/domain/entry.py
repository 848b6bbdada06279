"""An entry: a text of a user."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    id: UUID
    user_id: UUID
    text: str


@dataclass(frozen=True, slots=True)
class EntryCreated:
    entry: Entry


def create(entry_id: UUID, user_id: UUID, text: str) -> tuple[Entry, EntryCreated]:
    """The new entry and its domain event."""
    entry = Entry(entry_id, user_id, text)
    return entry, EntryCreated(entry)
