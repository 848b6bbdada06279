"""The client of catalog: reserve and release stock, look up products."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec

from chassis.saga import Done, Outcome, Refused
from chassis.values.money import Money
from chassis.web.client import ServiceClient
from orders.amounts import expected_total_of
from orders.clients.compensations import UndoAnswers, undone, undos
from orders.domain.cart import Product
from orders.domain.order import Line, Order, Reason
from orders.errors import AnotherCurrency


class ReservationLine(msgspec.Struct, frozen=True):
    product_id: UUID
    quantity: int


class ReservationItem(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    lines: list[ReservationLine]
    expected_total: Money | None
    correlation_id: str
    traceparent: str | None


class Reservations(msgspec.Struct, frozen=True):
    items: list[ReservationItem]


class ReservedLine(msgspec.Struct, frozen=True):
    product_id: UUID
    name: str
    quantity: int
    unit_price: Money


class ReservationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    outcome: Literal["reserved", "refused"]
    lines: list[ReservedLine] = []
    total: Money | None = None
    code: str = ""
    detail: str = ""
    shortages: list[dict[str, Any]] = []


class ReservationAnswers(msgspec.Struct, frozen=True):
    items: list[ReservationAnswer]


class LookupProducts(msgspec.Struct, frozen=True):
    ids: list[UUID]


class KnownProduct(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    price: Money
    stock: int


class KnownProducts(msgspec.Struct, frozen=True):
    items: list[KnownProduct]


class Catalog:
    """Each call takes many orders and returns one outcome each, in the same order."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def reserve(self, orders: Sequence[Order]) -> list[Outcome[Order, Reason]]:
        """Reserve all lines of each order, or none. An order that is reserved has names and prices."""
        answers = await self._client.call(
            "POST",
            "/reservations",
            ReservationAnswers,
            body=Reservations([_reservation(order) for order in orders]),
            idempotent=True,
        )
        return [_outcome(order, answer) for order, answer in zip(orders, answers.items, strict=True)]

    async def release(self, orders: Sequence[Order]) -> list[Outcome[Order, Reason]]:
        """Release the stock of each order. A reservation that arrives later is refused."""
        answers = await self._client.call(
            "POST", "/reservations/release", UndoAnswers, body=undos(orders), idempotent=True
        )
        return [undone(order, answer, "released") for order, answer in zip(orders, answers.items, strict=True)]

    async def products(self, product_ids: Sequence[UUID]) -> dict[UUID, Product]:
        """The current products, by id; unknown ones are left out. Raises `Unavailable` or `OutcomeUnknown`."""
        if not product_ids:
            return {}
        answer = await self._client.call(
            "POST",
            "/products/lookup",
            KnownProducts,
            body=LookupProducts(list(product_ids)),
            idempotent=True,
            timeout_s=1.0,
        )
        return {
            product.id: Product(product.id, product.name, product.price.minor(), product.price.currency, product.stock)
            for product in answer.items
        }


def _reservation(order: Order) -> ReservationItem:
    return ReservationItem(
        order_id=order.id,
        lines=[ReservationLine(line.product_id, line.quantity) for line in order.lines],
        expected_total=expected_total_of(order),
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
    )


def _outcome(order: Order, answer: ReservationAnswer) -> Outcome[Order, Reason]:
    assert answer.order_id == order.id, "catalog answers in the order of the request"
    if answer.outcome == "refused":
        return Refused(_reason(order, answer))
    assert answer.total is not None, "a reservation has a total"
    lines = tuple(Line(line.product_id, line.quantity, line.name, line.unit_price.minor()) for line in answer.lines)
    return Done(order.price(lines, answer.total.currency, answer.total.minor()))


def _reason(order: Order, answer: ReservationAnswer) -> Reason:
    extras: dict[str, object] = {}
    code = answer.code
    if answer.shortages:
        extras["shortages"] = answer.shortages
    if answer.total is not None:
        extras["total"] = {"amount": answer.total.amount, "currency": answer.total.currency}
        if code == "price_changed" and answer.total.currency != order.expected_currency:
            return Reason(AnotherCurrency.code, AnotherCurrency.title, extras=extras)
    return Reason(code, answer.detail or code, extras=extras)
