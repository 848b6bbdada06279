"""Catalog, as orders calls it: reserve and release stock, look up products."""

from collections.abc import Sequence
from uuid import UUID

from chassis.values.money import Money, money
from chassis.web.client import ServiceClient
from orders import messages
from orders.errors import AnotherCurrency
from orders.order import Line, Order, Reason
from orders.saga import Done, Outcome, Refused, Unknown


class Catalog:
    """Every call takes many orders and answers item by item, in the same order."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def reserve(self, orders: Sequence[Order]) -> list[Outcome[Reason]]:
        """Reserve all lines of each order or none, and write names and prices into those that were reserved."""
        answers = await self._client.call(
            "POST",
            "/reservations",
            messages.ReservationAnswers,
            body=messages.Reservations([_reservation(order) for order in orders]),
            idempotent=True,
        )
        return [_outcome(order, answer) for order, answer in zip(orders, answers.items, strict=True)]

    async def release(self, orders: Sequence[Order]) -> list[Outcome[Reason]]:
        """Give back what each order holds; a reservation that comes later will be refused."""
        answers = await self._client.call(
            "POST", "/reservations/release", messages.UndoAnswers, body=undos(orders), idempotent=True
        )
        return [released(answer, "released") for answer in answers.items]

    async def products(self, product_ids: Sequence[UUID]) -> dict[UUID, messages.KnownProduct]:
        """Products as they are now, by id; unknown ones are left out. Raises `Unavailable` or `OutcomeUnknown`."""
        if not product_ids:
            return {}
        answer = await self._client.call(
            "POST",
            "/products/lookup",
            messages.KnownProducts,
            body=messages.LookupProducts(list(product_ids)),
            idempotent=True,
            timeout_s=1.0,
        )
        return {product.id: product for product in answer.items}


def undos(orders: Sequence[Order]) -> messages.Undos:
    return messages.Undos([messages.UndoItem(order.id, order.correlation_id, order.traceparent) for order in orders])


def released(answer: messages.UndoAnswer, expected: str) -> Outcome[Reason]:
    """An undo has happened, or its outcome is not known: there is no third."""
    return Done() if answer.outcome == expected else Unknown(f"the undo was answered with {answer.outcome}")


def _reservation(order: Order) -> messages.ReservationItem:
    expected: Money | None = None
    if order.expected_total_minor is not None and order.expected_currency is not None:
        expected = money(order.expected_total_minor, order.expected_currency)
    return messages.ReservationItem(
        order_id=order.id,
        lines=[messages.OrderedItem(line.product_id, line.quantity) for line in order.lines],
        expected_total=expected,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
    )


def _outcome(order: Order, answer: messages.ReservationAnswer) -> Outcome[Reason]:
    assert answer.order_id == order.id, "catalog answers in the order of the question"
    if answer.outcome == "refused":
        return Refused(_reason(order, answer))
    assert answer.total is not None, "a reservation has a total"
    order.take_prices(
        tuple(Line(line.product_id, line.quantity, line.name, line.unit_price.minor()) for line in answer.lines),
        answer.total.currency,
        answer.total.minor(),
    )
    return Done()


def _reason(order: Order, answer: messages.ReservationAnswer) -> Reason:
    extras: dict[str, object] = {}
    code = answer.code
    if answer.shortages:
        extras["shortages"] = answer.shortages
    if answer.total is not None:
        extras["total"] = {"amount": answer.total.amount, "currency": answer.total.currency}
        if code == "price_changed" and answer.total.currency != order.expected_currency:
            return Reason(AnotherCurrency.code, AnotherCurrency.title, extras=extras)
    return Reason(code, answer.detail or code, extras=extras)
