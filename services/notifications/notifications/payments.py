"""What notifications asks of the payments service."""

from collections.abc import Sequence
from uuid import UUID

from chassis.web.client import ServiceClient
from notifications.messages import PaymentFound, PaymentsAsked, PaymentsFound

LOOK_UP_S_MAX = 2.0


class Payments:
    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def look_up(self, order_ids: Sequence[UUID]) -> dict[UUID, PaymentFound]:
        """What became of the money of up to 256 orders, by order. Raises `Unavailable` or `OutcomeUnknown`."""
        answer = await self._client.call(
            "POST",
            "/payments/lookup",
            PaymentsFound,
            body=PaymentsAsked(list(order_ids)),
            idempotent=True,
            timeout_s=LOOK_UP_S_MAX,
        )
        return {payment.order_id: payment for payment in answer.items}
