"""The client of payments: authorize and void."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from chassis.saga import Done, Outcome, Refused, Unknown
from chassis.values.money import Money
from chassis.web.client import ServiceClient
from orders.amounts import total_of
from orders.clients.compensations import UndoAnswer, UndoAnswers, undone, undos
from orders.domain.order import Order, Reason
from orders.errors import PaymentDeclined


class PaymentItem(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    user_id: UUID
    amount: Money
    payment_method: str | None
    correlation_id: str
    traceparent: str | None


class PaymentRequests(msgspec.Struct, frozen=True):
    items: list[PaymentItem]


class PaymentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    outcome: Literal["authorized", "declined", "refused", "unknown"]
    payment_id: UUID | None = None
    code: str | None = None
    detail: str | None = None


class PaymentAnswers(msgspec.Struct, frozen=True):
    items: list[PaymentAnswer]


class Payments:
    """Each call takes many orders and returns one outcome each, in the same order."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def authorize(self, orders: Sequence[Order]) -> list[Outcome[Order, Reason]]:
        """Authorize the total of each order. A lost answer is `Unknown`, never a refusal."""
        answers = await self._client.call(
            "POST",
            "/payments",
            PaymentAnswers,
            body=PaymentRequests([_payment(order) for order in orders]),
            idempotent=True,
        )
        return [_outcome(order, answer) for order, answer in zip(orders, answers.items, strict=True)]

    async def void(self, orders: Sequence[Order]) -> list[Outcome[Order, Reason]]:
        """Void the authorization of each order. An authorization that arrives later is refused."""
        answers = await self._client.call("POST", "/payments/void", UndoAnswers, body=undos(orders), idempotent=True)
        return [_voided(order, answer) for order, answer in zip(orders, answers.items, strict=True)]


def _voided(order: Order, answer: UndoAnswer) -> Outcome[Order, Reason]:
    # The order was not confirmed, so an operator has captured the payment. There is nothing left to void: payments
    # refunds it when it consumes order.cancelled.
    return Done(order) if answer.outcome == "captured" else undone(order, answer, "voided")


def _payment(order: Order) -> PaymentItem:
    total = total_of(order)
    assert total is not None, "the reservation, and with it the price, comes before the payment"
    return PaymentItem(
        order_id=order.id,
        user_id=order.customer.id,
        amount=total,
        payment_method=order.payment_method,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
    )


def _outcome(order: Order, answer: PaymentAnswer) -> Outcome[Order, Reason]:
    assert answer.order_id == order.id, "payments answers in the order of the request"
    match answer.outcome:
        case "authorized":
            return Done(order)
        case "unknown":
            return Unknown("the payment provider's answer is not known")
        case "declined":
            extras = {"decline_code": answer.code}
            return Refused(Reason(PaymentDeclined.code, answer.detail or PaymentDeclined.title, extras=extras))
        case "refused":
            code = answer.code or "payment_refused"
            return Refused(Reason(code, answer.detail or code))
