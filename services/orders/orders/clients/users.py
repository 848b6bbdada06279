"""The client of users: name and address of a user before the first event about that user."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.web.client import ServiceClient


class LookupUsers(msgspec.Struct, frozen=True):
    ids: list[UUID]


class KnownUser(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    email: str
    version: int


class KnownUsers(msgspec.Struct, frozen=True):
    items: list[KnownUser]


class Users:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def look_up(self, user_ids: Sequence[UUID]) -> list[KnownUser]:
        """Name and address of each; deleted users are left out. Raises `Unavailable` or `OutcomeUnknown`."""
        answer = await self._client.call(
            "POST", "/users/lookup", KnownUsers, body=LookupUsers(list(user_ids)), idempotent=True
        )
        return answer.items
