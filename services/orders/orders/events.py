"""The events that orders emits. Their contracts are in contracts/events; consumers copy the shapes that they need."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from chassis import actor, context
from chassis.messaging.journal import Event
from chassis.values.money import Money, money
from orders.amounts import total_of
from orders.domain import order as domain
from orders.domain.order import Customer, Line, NewOrder, Order, OrderEvent, Reason, Status

PLACED, CONFIRMED, CANCELLED, SHIPPED = "order.placed", "order.confirmed", "order.cancelled", "order.shipped"
_CHECKOUT = actor.service("orders")


class PlacedItem(msgspec.Struct, frozen=True):
    product_id: UUID
    quantity: int


class OrderPlaced(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    name: str
    email: str
    items: list[PlacedItem]


class ConfirmedItem(msgspec.Struct, frozen=True):
    product_id: UUID
    name: str
    quantity: int
    unit_price: Money
    line_total: Money


class OrderConfirmed(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    name: str
    email: str
    items: list[ConfirmedItem]
    total: Money


class ReasonOfEnd(msgspec.Struct, frozen=True):
    code: str
    detail: str


class OrderCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """`refused`: a step before the pivot refused the order. `told` is the contract's name for the opposite of
    `notify_customer`: the answer to the purchase reports this end, so that the customer needs no mail."""

    order_id: UUID
    user_id: UUID
    name: str
    email: str
    status: Literal["refused", "cancelled"]
    was_confirmed: bool
    told: bool
    reason: ReasonOfEnd
    total: Money | None


class OrderShipped(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    name: str
    email: str


def journal_events(domain_events: Sequence[OrderEvent]) -> list[Event]:
    """The events as the journal stores them."""
    return [_journal_event(event) for event in domain_events]


def _journal_event(event: OrderEvent) -> Event:
    match event:
        case domain.OrderPlaced(order, customer):
            return _event(order, PLACED, _placed(order, customer), actor.user(customer.id))
        case domain.OrderConfirmed(order):
            # The customer is the actor, whichever process runs the saga.
            return _event(order, CONFIRMED, _confirmed(order), actor.user(order.customer.id))
        case domain.OrderCancelled(order, was_confirmed, notify_customer):
            assert order.reason is not None, "an order ends for a reason"
            data = _cancelled(order, order.reason, was_confirmed=was_confirmed, notify_customer=notify_customer)
            return _event(order, CANCELLED, data, order.reason.actor or _CHECKOUT)
        case domain.OrderShipped(order):
            shipped = OrderShipped(order.id, order.customer.id, order.customer.name, order.customer.email)
            return _event(order, SHIPPED, shipped, context.actor())


def _placed(new: NewOrder, customer: Customer) -> OrderPlaced:
    return OrderPlaced(
        order_id=new.id,
        user_id=customer.id,
        name=customer.name,
        email=customer.email,
        items=[PlacedItem(line.product_id, line.quantity) for line in new.lines],
    )


def _confirmed(order: Order) -> OrderConfirmed:
    total = total_of(order)
    assert total is not None, "a confirmed order has a total"
    return OrderConfirmed(
        order_id=order.id,
        user_id=order.customer.id,
        name=order.customer.name,
        email=order.customer.email,
        items=[_confirmed_item(line, total.currency) for line in order.lines],
        total=total,
    )


def _confirmed_item(line: Line, currency: str) -> ConfirmedItem:
    assert line.name is not None, "a reserved line has a name"
    assert line.unit_price_minor is not None, "a reserved line has a price"
    return ConfirmedItem(
        line.product_id,
        line.name,
        line.quantity,
        money(line.unit_price_minor, currency),
        money(line.total_minor, currency),
    )


def _cancelled(order: Order, reason: Reason, *, was_confirmed: bool, notify_customer: bool) -> OrderCancelled:
    return OrderCancelled(
        order_id=order.id,
        user_id=order.customer.id,
        name=order.customer.name,
        email=order.customer.email,
        status="refused" if order.status is Status.REFUSED else "cancelled",
        was_confirmed=was_confirmed,
        told=not notify_customer,
        reason=ReasonOfEnd(reason.code, reason.detail),
        total=total_of(order),
    )


def _event(order: Order | NewOrder, type_: str, data: msgspec.Struct, by: str | None) -> Event:
    return Event(
        type=type_,
        subject=str(order.id),
        data=data,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
        actor=by,
    )
