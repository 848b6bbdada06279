"""An order: its states, and how it moves from one to the next.

    pending ──confirm──> confirmed ──ship──> shipped
       │                     └──cancel──> cancelled
       └──turn round──> cancelling ──(all undone)──> refused | cancelled

`confirmed` is the pivot: what was reserved and authorized is kept from there on, and later changes follow by events.
`cancelling` is committed before anything is undone, so that nobody can confirm what somebody else is undoing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

LINES_MAX = 100
QUANTITY_MAX = 1_000_000


class Status(StrEnum):
    PENDING = "pending"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUSED = "refused"

    @property
    def is_final_for_checkout(self) -> bool:
        """Whether the saga has nothing left to do."""
        return self not in {Status.PENDING, Status.CANCELLING}


@dataclass(frozen=True, slots=True)
class Customer:
    """Who buys, as they were called at that moment."""

    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Line:
    """So many of a product. Name and unit price are the reservation's snapshot; before it, they are None."""

    product_id: UUID
    quantity: int
    name: str | None = None
    unit_price_minor: int | None = None

    @property
    def total_minor(self) -> int:
        assert self.unit_price_minor is not None, "only a reserved line has a price"
        return self.quantity * self.unit_price_minor


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an order was not to be. `ends_as` is `refused` when a step said no, else `cancelled`."""

    code: str
    detail: str
    ends_as: Status = Status.REFUSED
    extras: Mapping[str, Any] = field(default_factory=dict)
    actor: str | None = None
    """The actor of the cancellation, in the form of `chassis.actor`. None: the checkout decided by itself."""


CANCELLED_BY_CUSTOMER = Reason("cancelled_by_customer", "The customer cancelled the order.", Status.CANCELLED)
CANCELLED_BY_OPERATOR = Reason("cancelled_by_operator", "The shop cancelled the order.", Status.CANCELLED)
ACCOUNT_DELETED = Reason("account_deleted", "The account was deleted.", Status.CANCELLED)
DEADLINE_PASSED = Reason("deadline_passed", "The order could not be completed in time.", Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order that is about to be placed. `fingerprint` tells whether a repeated request is the same."""

    id: UUID
    user_id: UUID
    lines: tuple[Line, ...]
    payment_method: str | None
    expected_total_minor: int | None
    expected_currency: str | None
    from_cart: bool
    answer_later: bool
    idempotency_key: str | None
    fingerprint: bytes
    correlation_id: str
    traceparent: str | None


@dataclass(slots=True)
class Order:
    """One order. Amounts in minor units of `currency`; they are None until the stock was reserved."""

    id: UUID
    customer: Customer
    lines: tuple[Line, ...]
    status: Status
    correlation_id: str
    traceparent: str | None
    created_at: datetime
    deadline_at: datetime
    payment_method: str | None = None
    expected_total_minor: int | None = None
    expected_currency: str | None = None
    from_cart: bool = False
    answer_later: bool = False
    currency: str | None = None
    total_minor: int | None = None
    reason: Reason | None = None
    attempts: int = 0
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None

    def take_prices(self, lines: tuple[Line, ...], currency: str, total_minor: int) -> None:
        """Keep what the reservation answered. Raises `ValueError` when it is not about what was ordered."""
        if [(line.product_id, line.quantity) for line in lines] != [
            (line.product_id, line.quantity) for line in self.lines
        ]:
            raise ValueError(f"the reservation of order {self.id} is for other lines")
        if sum(line.total_minor for line in lines) != total_minor:
            raise ValueError(f"the total of order {self.id} is not the sum of its lines")
        self.lines, self.currency, self.total_minor = lines, currency, total_minor

    def as_placed(self) -> "Order":
        """The order as it was before anything was reserved."""
        lines = tuple(Line(line.product_id, line.quantity) for line in self.lines)
        return replace(self, status=Status.PENDING, lines=lines, currency=None, total_minor=None, reason=None)

    def is_past_deadline(self, now: datetime) -> bool:
        return now >= self.deadline_at


@dataclass(frozen=True, slots=True)
class StuckOrder:
    """An order that is overdue, with what an operator needs to know. `age_s` is in seconds."""

    id: UUID
    status: str
    age_s: float
    attempts: int
    deadline_at: datetime
    next_attempt_at: datetime
    last_trouble: str | None
