"""The shapes of a compensation, which catalog and payments share: release the stock, void the payment."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.saga import Done, Outcome, Unknown
from orders.domain.order import Order, Reason


class UndoItem(msgspec.Struct, frozen=True):
    order_id: UUID
    correlation_id: str
    traceparent: str | None


class Undos(msgspec.Struct, frozen=True):
    items: list[UndoItem]


class UndoAnswer(msgspec.Struct, frozen=True):
    order_id: UUID
    outcome: str


class UndoAnswers(msgspec.Struct, frozen=True):
    items: list[UndoAnswer]


def undos(orders: Sequence[Order]) -> Undos:
    return Undos([UndoItem(order.id, order.correlation_id, order.traceparent) for order in orders])


def undone(order: Order, answer: UndoAnswer, expected: str) -> Outcome[Order, Reason]:
    """`Done` for the expected outcome. Every other one is `Unknown`: a compensation cannot be refused."""
    if answer.outcome == expected:
        return Done(order)
    return Unknown(f"the undo was answered with {answer.outcome}")
