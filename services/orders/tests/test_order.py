"""The states of an order: each transition from each state is allowed or refused, and has its events."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.saga import Step
from orders.checkout import CHECKOUT
from orders.domain.order import (
    CANCELLED_BY_CUSTOMER,
    Customer,
    IllegalTransition,
    Line,
    Order,
    OrderCancelled,
    OrderConfirmed,
    OrderShipped,
    Reason,
    Status,
)

DECLINED = Reason("payment_declined", "The card was declined.")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = Order(
    id=UUID(int=1),
    customer=Customer(UUID(int=2), "Ada", "ada@example.com"),
    lines=(Line(UUID(int=3), 2, "Pen", 150),),
    status=Status.PENDING,
    correlation_id="c",
    traceparent=None,
    created_at=NOW,
    deadline_at=NOW,
    currency="USD",
    total_minor=300,
    reason=DECLINED,
)
TRANSITIONS: dict[str, tuple[Status, Status, Callable[[Order], Any]]] = {
    "confirm": (Status.PENDING, Status.CONFIRMED, Order.confirm),
    "begin_compensation": (Status.PENDING, Status.CANCELLING, lambda order: order.begin_compensation(DECLINED)),
    "refuse": (Status.PENDING, Status.REFUSED, lambda order: order.refuse(DECLINED, notify_customer=False)),
    "finish_compensation": (
        Status.CANCELLING,
        Status.REFUSED,
        lambda order: order.finish_compensation(notify_customer=True),
    ),
    "cancel": (Status.CONFIRMED, Status.CANCELLED, lambda order: order.cancel(CANCELLED_BY_CUSTOMER)),
    "ship": (Status.CONFIRMED, Status.SHIPPED, Order.ship),
}
EVENTS = {
    "confirm": lambda order: (OrderConfirmed(order),),
    "begin_compensation": lambda _order: (),
    "refuse": lambda order: (OrderCancelled(order, was_confirmed=False, notify_customer=False),),
    "finish_compensation": lambda order: (OrderCancelled(order, was_confirmed=False, notify_customer=True),),
    "cancel": lambda order: (OrderCancelled(order, was_confirmed=True, notify_customer=True),),
    "ship": lambda order: (OrderShipped(order),),
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition_is_allowed_from_its_state_alone(name: str, status: Status) -> None:
    before, after, transition = TRANSITIONS[name]
    order = replace(ORDER, status=status)
    if status is not before:
        with pytest.raises(IllegalTransition):
            transition(order)
        return
    changed, events = transition(order)
    assert changed.status is after
    assert events == EVENTS[name](changed)
    assert order.status is before


def test_an_order_without_prices_cannot_be_confirmed() -> None:
    with pytest.raises(IllegalTransition):
        replace(ORDER, total_minor=None).confirm()


def test_a_retried_order_is_compensated_and_not_refused_at_once() -> None:
    with pytest.raises(IllegalTransition):
        replace(ORDER, attempts=1).refuse(DECLINED, notify_customer=True)


def test_prices_of_other_lines_or_another_total_are_an_error() -> None:
    with pytest.raises(ValueError, match="other lines"):
        ORDER.price((Line(UUID(int=4), 2, "Pen", 150),), "USD", 300)
    with pytest.raises(ValueError, match="not the sum"):
        ORDER.price((Line(UUID(int=3), 2, "Pen", 150),), "USD", 301)


@pytest.mark.parametrize("step", CHECKOUT.steps, ids=lambda step: step.name)
def test_each_step_of_the_checkout_has_a_compensation(step: Step[object, Any, object]) -> None:
    assert step.do is not step.undo
    assert callable(step.undo)
