"""A reservation: what an order may take of the stock there is, and what becomes of it. Rules only, without any I/O.

A reservation is held from the reserve until the order's fate is known: sold when the order is confirmed, released
when it is undone or cancelled. What is released is given back once, since only a state that is not `released` gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias
from uuid import UUID

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
class WantedLine:
    """So many of one product."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order asks for. `expected` is the total, in minor units with its currency, that the buyer has seen."""

    order_id: UUID
    lines: Sequence[WantedLine]
    expected: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Goods:
    """A product as it is now, its stock row locked."""

    product_id: UUID
    name: str
    unit_price_minor: int
    currency: str
    available: int
    is_on_sale: bool


@dataclass(frozen=True, slots=True)
class ReservedLine:
    """A line with the name and the price of the moment of the reservation."""

    product_id: UUID
    name: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an order holds, has bought, or gave back. A tombstone is `released` and has no lines."""

    order_id: UUID
    state: State
    lines: Sequence[ReservedLine] = ()
    currency: str | None = None
    total_minor: int | None = None
    settled_by: "Settlement | None" = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which there is less than was asked for."""

    product_id: UUID
    requested: int
    available: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an order gets nothing; for `price_changed`, with the total as it is now."""

    code: RefusalCode
    detail: str
    shortages: Sequence[Shortage] = ()
    total_minor: int | None = None
    currency: str | None = None


Outcome: TypeAlias = Reservation | Refused


@dataclass(slots=True)
class Allotment:
    """The outcomes of a batch, order by order, and how many of each product they take together."""

    outcomes: list[Outcome] = field(default_factory=list)
    taken: dict[UUID, int] = field(default_factory=dict)


def allot(wishes: Sequence[Wanted], goods: Mapping[UUID, Goods]) -> Allotment:
    """Serve the orders of a batch first come first served: each gets all of its lines, or nothing and the reason.

    `goods` holds every product of the batch that exists, as locked: no other transaction can take from it meanwhile.
    """
    allotment = Allotment()
    left = {product.product_id: product.available for product in goods.values()}
    for wanted in wishes:
        outcome = _consider(wanted, goods, left)
        if isinstance(outcome, Reservation):
            for line in outcome.lines:
                left[line.product_id] -= line.quantity
                allotment.taken[line.product_id] = allotment.taken.get(line.product_id, 0) + line.quantity
        allotment.outcomes.append(outcome)
    return allotment


def _consider(wanted: Wanted, goods: Mapping[UUID, Goods], left: Mapping[UUID, int]) -> Outcome:
    if (fault := _fault_of(wanted.lines)) is not None:
        return Refused("unacceptable_lines", fault)
    unknown = [line.product_id for line in wanted.lines if not _is_on_sale(goods.get(line.product_id))]
    if unknown:
        return Refused("unknown_product", f"There is no product {', '.join(map(str, unknown))}.")
    currencies = {goods[line.product_id].currency for line in wanted.lines}
    if len(currencies) > 1:
        return Refused("mixed_currencies", f"The prices are in {' and '.join(sorted(currencies))}.")
    currency = currencies.pop()
    total_minor = sum(goods[line.product_id].unit_price_minor * line.quantity for line in wanted.lines)
    if total_minor > TOTAL_MINOR_MAX:
        return Refused("total_too_large", "The total is larger than can be handled.")
    shortages = [
        Shortage(line.product_id, requested=line.quantity, available=left[line.product_id])
        for line in wanted.lines
        if line.quantity > left[line.product_id]
    ]
    if shortages:
        detail = "; ".join(f"{goods[short.product_id].name}: {short.available} left" for short in shortages)
        return Refused("out_of_stock", f"{detail}.", shortages)
    if wanted.expected is not None and wanted.expected != (total_minor, currency):
        return Refused("price_changed", "The total is another one now.", (), total_minor, currency)
    lines = [
        ReservedLine(line.product_id, product.name, line.quantity, product.unit_price_minor)
        for line in wanted.lines
        for product in [goods[line.product_id]]
    ]
    return Reservation(wanted.order_id, "held", lines, currency, total_minor)


def _is_on_sale(product: Goods | None) -> bool:
    return product is not None and product.is_on_sale


def _fault_of(lines: Sequence[WantedLine]) -> str | None:
    if not 1 <= len(lines) <= LINES_MAX:
        return f"An order has 1 to {LINES_MAX} lines."
    if any(line.quantity < 1 for line in lines):
        return "A quantity is at least 1."
    if len({line.product_id for line in lines}) != len(lines):
        return "A product stands in one line only."
    return None


class Settlement(StrEnum):
    """What ends a hold: the saga's undo, the order's confirmation, its cancellation."""

    UNDO = "undo"
    CONFIRMATION = "confirmation"
    CANCELLATION = "cancellation"


def settled(order_id: UUID, reservation: Reservation | None, settlement: Settlement) -> Reservation | None:
    """The reservation after `settlement`, or None when it stays as it is.

    An undo never takes back what is sold: the order was confirmed, and only its cancellation gives it back. What
    comes before the reservation leaves a tombstone, so that the reservation is refused when it comes at last.
    """
    state = None if reservation is None else reservation.state
    match settlement, state:
        case Settlement.CONFIRMATION, "held":
            assert reservation is not None
            return _moved(reservation, "sold", settlement)
        case ((Settlement.UNDO | Settlement.CANCELLATION), "held"):
            assert reservation is not None
            return _moved(reservation, "released", settlement)
        case Settlement.CANCELLATION, "sold":
            assert reservation is not None
            return _moved(reservation, "released", settlement)
        case ((Settlement.UNDO | Settlement.CANCELLATION), None):
            return Reservation(order_id, "released", settled_by=settlement)
    return None


def is_oversold(reservation: Reservation | None, settlement: Settlement) -> bool:
    """Whether an order is confirmed that holds nothing, and was not cancelled either: that must never happen."""
    if settlement is not Settlement.CONFIRMATION:
        return False
    if reservation is None:
        return True
    return reservation.state == "released" and reservation.settled_by is not Settlement.CANCELLATION


def given_back(before: Sequence[Reservation], after: Sequence[Reservation]) -> dict[UUID, int]:
    """How many of each product return to the stock when the reservations `before` become those `after`."""
    released = {reservation.order_id for reservation in after if reservation.state == "released"}
    quantities: dict[UUID, int] = {}
    for reservation in before:
        if reservation.state != "released" and reservation.order_id in released:
            for line in reservation.lines:
                quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities


def _moved(reservation: Reservation, state: State, settlement: Settlement) -> Reservation:
    return Reservation(
        reservation.order_id, state, reservation.lines, reservation.currency, reservation.total_minor, settlement
    )
