"""The calls to users."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.web.client import ServiceClient
from notifications.consumed_events import Preferences
from notifications.domain.recipient import Recipient


class UsersRequest(msgspec.Struct, frozen=True):
    """POST /users/lookup."""

    ids: list[UUID]


class UserFound(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    email: str
    preferences: Preferences
    version: int

    def recipient(self) -> Recipient:
        return Recipient(
            user_id=self.id,
            email=self.email,
            name=self.name,
            order_emails=self.preferences.order_emails,
            payment_emails=self.preferences.payment_emails,
            version=self.version,
        )


class UsersFound(msgspec.Struct, frozen=True):
    """Unknown and deleted ids are left out."""

    items: list[UserFound]


class Users:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def look_up(self, user_ids: Sequence[UUID]) -> list[UserFound]:
        """The existing accounts among up to 256 ids. Raises `Unavailable` or `OutcomeUnknown`."""
        answer = await self._client.call(
            "POST", "/users/lookup", UsersFound, body=UsersRequest(list(user_ids)), idempotent=True
        )
        return answer.items
