"""The rules of reservations: which orders of a batch get stock, and how a reservation ends.

A reservation is `held` until the fate of its order is known. It is `sold` when the order is confirmed, and `released`
when the checkout is undone or the order is cancelled. Only a transition to `released` returns stock, and no transition
leaves that state. So stock is returned once at most.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, TypeAlias
from uuid import UUID

from catalog.domain.stock import ProductStock

LINES_MAX = 100
TOTAL_MINOR_MAX = 10**15 - 1

State: TypeAlias = Literal["held", "sold", "released"]
RefusalCode: TypeAlias = Literal[
    "out_of_stock",
    "unknown_product",
    "price_changed",
    "mixed_currencies",
    "total_too_large",
    "released",
    "unacceptable_lines",
]


@dataclass(frozen=True, slots=True)
class StockRequestLine:
    """A quantity of one product."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class StockRequest:
    """The lines of an order. `expected_total` is the total that the buyer has seen: minor units and currency."""

    order_id: UUID
    lines: Sequence[StockRequestLine]
    expected_total: tuple[int, str] | None = None


class Settlement(StrEnum):
    """The event that ends a hold: the undo of the checkout, the confirmation of the order, or its cancellation."""

    UNDO = "undo"
    CONFIRMATION = "confirmation"
    CANCELLATION = "cancellation"


@dataclass(frozen=True, slots=True)
class ReservedLine:
    """A line with the name and the price at the time of the reservation."""

    product_id: UUID
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """The stock that an order holds, has bought or has returned. A tombstone is `released` and has no lines."""

    order_id: UUID
    state: State
    lines: Sequence[ReservedLine] = ()
    currency: str | None = None
    total_minor: int | None = None
    settled_by: Settlement | None = None

    def settle(self, settlement: Settlement) -> "Reservation | None":
        """The reservation after `settlement`, or None when it stays as it is.

        An undo does not release a sold reservation: the order was confirmed, so only its cancellation does.
        """
        match settlement, self.state:
            case Settlement.CONFIRMATION, "held":
                return replace(self, state="sold", settled_by=settlement)
            case ((Settlement.UNDO | Settlement.CANCELLATION), "held") | (Settlement.CANCELLATION, "sold"):
                return replace(self, state="released", settled_by=settlement)
        return None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which less is available than an order requests."""

    product_id: UUID
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class ReservationRefusal:
    """The reason why an order gets no stock; for `price_changed`, with the current total."""

    code: RefusalCode
    detail: str
    shortages: Sequence[Shortage] = ()
    total_minor: int | None = None
    currency: str | None = None


Outcome: TypeAlias = Reservation | ReservationRefusal


@dataclass(slots=True)
class Allocation:
    """The outcomes of a batch, order by order, and the quantity of each product that they take together."""

    outcomes: list[Outcome] = field(default_factory=list)
    quantities: dict[UUID, int] = field(default_factory=dict)


def allocate(requests: Sequence[StockRequest], stock: Mapping[UUID, ProductStock]) -> Allocation:
    """Serve the orders of a batch first come, first served: each gets all of its lines, or none and the reason.

    `stock` holds every existing product of the batch. Its rows are locked, so no other transaction takes from them.
    """
    allocation = Allocation()
    available = {product.product_id: product.available for product in stock.values()}
    for request in requests:
        outcome = _reserve(request, stock, available)
        if isinstance(outcome, Reservation):
            for line in outcome.lines:
                available[line.product_id] -= line.quantity
                allocation.quantities[line.product_id] = allocation.quantities.get(line.product_id, 0) + line.quantity
        allocation.outcomes.append(outcome)
    return allocation


def _reserve(request: StockRequest, stock: Mapping[UUID, ProductStock], available: Mapping[UUID, int]) -> Outcome:
    if (error := _lines_error(request.lines)) is not None:
        return ReservationRefusal("unacceptable_lines", error)
    unknown = [line.product_id for line in request.lines if not _is_on_sale(stock.get(line.product_id))]
    if unknown:
        return ReservationRefusal("unknown_product", f"There is no product {', '.join(map(str, unknown))}.")
    currencies = {stock[line.product_id].currency for line in request.lines}
    if len(currencies) > 1:
        return ReservationRefusal("mixed_currencies", f"The prices are in {' and '.join(sorted(currencies))}.")
    currency = currencies.pop()
    total_minor = sum(stock[line.product_id].unit_price_minor * line.quantity for line in request.lines)
    if total_minor > TOTAL_MINOR_MAX:
        return ReservationRefusal("total_too_large", "The total exceeds the largest possible amount.")
    shortages = [
        Shortage(line.product_id, requested=line.quantity, available=available[line.product_id])
        for line in request.lines
        if line.quantity > available[line.product_id]
    ]
    if shortages:
        detail = "; ".join(f"{stock[short.product_id].name}: {short.available} left" for short in shortages)
        return ReservationRefusal("out_of_stock", f"{detail}.", shortages)
    if request.expected_total is not None and request.expected_total != (total_minor, currency):
        return ReservationRefusal("price_changed", "The total has changed.", (), total_minor, currency)
    lines = [
        ReservedLine(line.product_id, product.name, line.quantity, product.unit_price_minor)
        for line in request.lines
        for product in [stock[line.product_id]]
    ]
    return Reservation(request.order_id, "held", lines, currency, total_minor)


def _is_on_sale(product: ProductStock | None) -> bool:
    return product is not None and product.is_on_sale


def _lines_error(lines: Sequence[StockRequestLine]) -> str | None:
    if not 1 <= len(lines) <= LINES_MAX:
        return f"An order has 1 to {LINES_MAX} lines."
    if any(line.quantity < 1 for line in lines):
        return "A quantity is at least 1."
    if len({line.product_id for line in lines}) != len(lines):
        return "An order has one line for each product."
    return None


def settle(order_id: UUID, reservation: Reservation | None, settlement: Settlement) -> Reservation | None:
    """The reservation of the order after `settlement`, or None when nothing changes.

    An undo or a cancellation may arrive before the reservation. It leaves a tombstone, which refuses the late request.
    """
    if reservation is not None:
        return reservation.settle(settlement)
    if settlement is Settlement.CONFIRMATION:
        return None
    return Reservation(order_id, "released", settled_by=settlement)


def is_oversold(reservation: Reservation | None, settlement: Settlement) -> bool:
    """Whether a confirmed order holds no stock and was not cancelled before. This must never happen."""
    if settlement is not Settlement.CONFIRMATION:
        return False
    if reservation is None:
        return True
    return reservation.state == "released" and reservation.settled_by is not Settlement.CANCELLATION


def released_quantities(before: Iterable[Reservation], after: Iterable[Reservation]) -> dict[UUID, int]:
    """The quantity of each product that returns to the stock when the reservations `before` become those `after`."""
    released = {reservation.order_id for reservation in after if reservation.state == "released"}
    quantities: dict[UUID, int] = {}
    for reservation in before:
        if reservation.state != "released" and reservation.order_id in released:
            for line in reservation.lines:
                quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities
