"""The payments and the messages of an order, with the access token of the caller.

The items are passed on as they are: a member that their service adds is not lost here.
"""

from typing import Any
from uuid import UUID

import msgspec

from chassis.web.client import ServiceClient

_LIMIT = 100


class Items(msgspec.Struct, frozen=True):
    """A page of payments or of messages."""

    items: list[dict[str, Any]]


async def read_payments(
    payments: ServiceClient, order_id: UUID, authorization: str, *, timeout_s: float
) -> list[dict[str, Any]]:
    """Raises `RefusedByPeer`, `Unavailable` or `OutcomeUnknown`."""
    return await _read(payments, "/payments", order_id, authorization, timeout_s)


async def read_messages(
    notifications: ServiceClient, order_id: UUID, authorization: str, *, timeout_s: float
) -> list[dict[str, Any]]:
    """Raises `RefusedByPeer`, `Unavailable` or `OutcomeUnknown`."""
    return await _read(notifications, "/notifications", order_id, authorization, timeout_s)


async def _read(
    client: ServiceClient, path: str, order_id: UUID, authorization: str, timeout_s: float
) -> list[dict[str, Any]]:
    found = await client.call(
        "GET",
        path,
        Items,
        query={"order_id": str(order_id), "limit": str(_LIMIT)},
        idempotent=True,
        timeout_s=timeout_s,
        authorization=authorization,
    )
    return found.items
