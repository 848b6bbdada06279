"""What notifications asks of the users service."""

from collections.abc import Sequence
from uuid import UUID

from chassis.web.client import ServiceClient
from notifications.messages import UserFound, UsersAsked, UsersFound


class Users:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def look_up(self, user_ids: Sequence[UUID]) -> list[UserFound]:
        """Those of up to 256 people who have an account. Raises `Unavailable` or `OutcomeUnknown`."""
        answer = await self._client.call(
            "POST", "/users/lookup", UsersFound, body=UsersAsked(list(user_ids)), idempotent=True
        )
        return answer.items
