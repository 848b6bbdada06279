"""The entries of users."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement
from newservice.domain.entry import Entry

_INSERT = Statement(
    "INSERT INTO entries (:entries.*) SELECT entries.* FROM :entries ON CONFLICT DO NOTHING RETURNING id",
    entries=Entry,
)
_DELETE_OF_USERS = Statement("DELETE FROM entries WHERE user_id = ANY(:user_ids::uuid[])")


async def insert(connection: Connection, entry: Entry) -> bool:
    """False when the id exists already."""
    return bool(await _INSERT.fetch(connection, entries=[entry]))


async def delete_of_users(connection: Connection, user_ids: Sequence[UUID]) -> None:
    await _DELETE_OF_USERS.execute(connection, user_ids=user_ids)
