"""An order: its states, its transitions, and the events of each.

    pending ──confirm──> confirmed ──ship──> shipped
       │                     └──cancel──> cancelled
       ├──begin_compensation──> cancelling ──finish_compensation──> refused | cancelled
       └──refuse──> refused | cancelled

`confirmed` is the pivot: from there on the reservation and the authorization are kept, and later changes follow by
events. `cancelling` is committed before any step is undone, so that no replica can confirm what another one undoes.

A transition checks the state, and returns the new order and its events. The statements in `store/` have the same
condition in their WHERE, and set the times, which are those of the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
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
    """The customer, with name and address at the time of the purchase."""

    id: UUID
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity of one product. Name and unit price are a snapshot by the reservation; before it, they are None."""

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
    """Why an order ended without goods. `ends_as` is `refused` when a step refused it, else `cancelled`."""

    code: str
    detail: str
    ends_as: Status = Status.REFUSED
    extras: Mapping[str, Any] = field(default_factory=dict)
    actor: str | None = None
    """The actor of the cancellation, in the form of `chassis.actor`. None: the checkout itself."""


CANCELLED_BY_CUSTOMER = Reason("cancelled_by_customer", "The customer cancelled the order.", Status.CANCELLED)
CANCELLED_BY_OPERATOR = Reason("cancelled_by_operator", "The shop cancelled the order.", Status.CANCELLED)
ACCOUNT_DELETED = Reason("account_deleted", "The account was deleted.", Status.CANCELLED)
DEADLINE_PASSED = Reason("deadline_passed", "The order could not be completed in time.", Status.CANCELLED)


class IllegalTransition(Exception):
    """The order's state does not allow the transition."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """A purchase that is not stored yet. `fingerprint` shows whether a repeated request is the same."""

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

    def as_placed(self, customer: Customer, created_at: datetime, deadline_at: datetime) -> "Order":
        """The order when it is stored, with the times of the database."""
        return Order(
            id=self.id,
            customer=customer,
            lines=self.lines,
            status=Status.PENDING,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
            created_at=created_at,
            deadline_at=deadline_at,
            payment_method=self.payment_method,
            expected_total_minor=self.expected_total_minor,
            expected_currency=self.expected_currency,
            from_cart=self.from_cart,
            answer_later=self.answer_later,
        )


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Amounts are in minor units of `currency`; they are None until the stock is reserved."""

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

    # Transitions

    def price(self, lines: tuple[Line, ...], currency: str, total_minor: int) -> "Order":
        """Take names and prices from the reservation. Raises `ValueError` when it is for another order or sum."""
        self._expect(Status.PENDING)
        if [(line.product_id, line.quantity) for line in lines] != [
            (line.product_id, line.quantity) for line in self.lines
        ]:
            raise ValueError(f"the reservation of order {self.id} is for other lines")
        if sum(line.total_minor for line in lines) != total_minor:
            raise ValueError(f"the total of order {self.id} is not the sum of its lines")
        return replace(self, lines=lines, currency=currency, total_minor=total_minor)

    def confirm(self) -> "tuple[Order, tuple[OrderConfirmed]]":
        """The pivot. The order needs its prices."""
        self._expect(Status.PENDING)
        if self.total_minor is None:
            raise IllegalTransition(f"order {self.id} has no prices")
        confirmed = replace(self, status=Status.CONFIRMED)
        return confirmed, (OrderConfirmed(confirmed),)

    def begin_compensation(self, reason: Reason) -> "tuple[Order, tuple[()]]":
        """The order can no longer be confirmed. It has no event before all steps are undone."""
        self._expect(Status.PENDING)
        return replace(self, status=Status.CANCELLING, reason=reason), ()

    def finish_compensation(self, *, notify_customer: bool) -> "tuple[Order, tuple[OrderCancelled]]":
        """All steps are undone."""
        self._expect(Status.CANCELLING)
        return self._end(was_confirmed=False, notify_customer=notify_customer)

    def refuse(self, reason: Reason, *, notify_customer: bool) -> "tuple[Order, tuple[OrderCancelled]]":
        """End an order for which no step was done. Only its first attempt knows that."""
        self._expect(Status.PENDING)
        if self.attempts:
            raise IllegalTransition(f"another attempt may have done a step for order {self.id}")
        return replace(self, reason=reason)._end(was_confirmed=False, notify_customer=notify_customer)

    def cancel(self, reason: Reason) -> "tuple[Order, tuple[OrderCancelled]]":
        """Cancel after the confirmation. Catalog and payments compensate on the event."""
        self._expect(Status.CONFIRMED)
        return replace(self, reason=reason)._end(was_confirmed=True, notify_customer=True)

    def ship(self) -> "tuple[Order, tuple[OrderShipped]]":
        self._expect(Status.CONFIRMED)
        shipped = replace(self, status=Status.SHIPPED)
        return shipped, (OrderShipped(shipped),)

    def _end(self, *, was_confirmed: bool, notify_customer: bool) -> "tuple[Order, tuple[OrderCancelled]]":
        assert self.reason is not None, "an order ends for a reason"
        status = Status.CANCELLED if was_confirmed else self.reason.ends_as
        ended = replace(self, status=status)
        return ended, (OrderCancelled(ended, was_confirmed=was_confirmed, notify_customer=notify_customer),)

    def _expect(self, status: Status) -> None:
        if self.status is not status:
            raise IllegalTransition(f"order {self.id} is {self.status}, not {status}")

    # Views

    def as_placed(self) -> "Order":
        """The order before the reservation."""
        lines = tuple(Line(line.product_id, line.quantity) for line in self.lines)
        return replace(self, status=Status.PENDING, lines=lines, currency=None, total_minor=None, reason=None)

    def is_past_deadline(self, now: datetime) -> bool:
        return now >= self.deadline_at


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    order: NewOrder
    customer: Customer


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    order: Order


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """`notify_customer` is False when the answer to the purchase reports this end."""

    order: Order
    was_confirmed: bool
    notify_customer: bool


@dataclass(frozen=True, slots=True)
class OrderShipped:
    order: Order


OrderEvent: TypeAlias = OrderPlaced | OrderConfirmed | OrderCancelled | OrderShipped


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
