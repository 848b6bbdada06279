"""The calls to payments."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.web.client import ServiceClient
from notifications.domain.settlement import PaymentStatus

LOOK_UP_MAX_S = 2.0


class PaymentsRequest(msgspec.Struct, frozen=True):
    """POST /payments/lookup."""

    order_ids: list[UUID]


class PaymentsFound(msgspec.Struct, frozen=True):
    """Orders that payments does not know yet are left out."""

    items: list[PaymentStatus]


class Payments:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def look_up(self, order_ids: Sequence[UUID]) -> dict[UUID, PaymentStatus]:
        """The payments of up to 256 orders, by order id. Raises `Unavailable` or `OutcomeUnknown`."""
        answer = await self._client.call(
            "POST",
            "/payments/lookup",
            PaymentsFound,
            body=PaymentsRequest(list(order_ids)),
            idempotent=True,
            timeout_s=LOOK_UP_MAX_S,
        )
        return {payment.order_id: payment for payment in answer.items}
