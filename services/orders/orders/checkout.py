"""The checkout: the steps of a purchase, and the compensation of each.

The capture is not a step. It follows the pivot, by the event order.confirmed: a void is free, but a refund costs a fee.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chassis.persistence.database import Database
from chassis.saga import Done, Outcome, Pivot, Refused, Runner, Saga, Step
from orders import store
from orders.clients.catalog import Catalog
from orders.clients.payments import Payments
from orders.domain.order import ACCOUNT_DELETED, Order, OrderConfirmed, Reason


@dataclass(frozen=True, slots=True)
class Participants:
    """What the steps call."""

    catalog: Catalog
    payments: Payments
    database: Database


Outcomes: TypeAlias = Sequence[Outcome[Order, Reason]]


async def reserve_stock(participants: Participants, orders: Sequence[Order]) -> Outcomes:
    """Reserve the stock of all lines or of none. The order then has names and prices."""
    return await participants.catalog.reserve(orders)


async def release_stock(participants: Participants, orders: Sequence[Order]) -> Outcomes:
    return await participants.catalog.release(orders)


async def authorize_payment(participants: Participants, orders: Sequence[Order]) -> Outcomes:
    """Authorize the total on the customer's payment method."""
    return await participants.payments.authorize(orders)


async def void_payment(participants: Participants, orders: Sequence[Order]) -> Outcomes:
    return await participants.payments.void(orders)


async def confirm_order(participants: Participants, orders: Sequence[Order]) -> Outcomes:
    """Confirm the orders that are still pending and whose account exists, with their events, in one commit."""
    transitions = [order.confirm() for order in orders]
    candidates = [order for order, _ in transitions]
    events: list[OrderConfirmed] = [event for _, events in transitions for event in events]
    confirmed = await participants.database.run_statement(
        lambda connection: store.checkout.confirm(connection, candidates, events)
    )
    return [Done(confirmed[order.id]) if order.id in confirmed else Refused(ACCOUNT_DELETED) for order in orders]


CHECKOUT: Saga[Participants, Order, Reason] = Saga(
    Step("reserve stock", do=reserve_stock, undo=release_stock),
    Step("authorize payment", do=authorize_payment, undo=void_payment),
    Pivot("confirm order", do=confirm_order),  # Nothing is undone after it.
)

CheckoutRunner: TypeAlias = Runner[Participants, Order, Reason]
