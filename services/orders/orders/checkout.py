"""The checkout, on one page: what a purchase does, step by step, and how each step is undone.

Capture is no step: it follows the pivot, by the event order.confirmed, since a refund costs fees and a void does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chassis.persistence.database import Database
from orders import store
from orders.clients.catalog import Catalog
from orders.clients.payments import Payments
from orders.domain.order import ACCOUNT_DELETED, Order, Reason, Status
from orders.saga import Done, Outcome, Pivot, Refused, Runner, Saga, Step


@dataclass(frozen=True, slots=True)
class Participants:
    """Whom the steps ask."""

    catalog: Catalog
    payments: Payments
    database: Database


async def reserve_stock(ask: Participants, orders: Sequence[Order]) -> Sequence[Outcome[Reason]]:
    """Take the stock of all lines or of none; the answer brings names and prices."""
    return await ask.catalog.reserve(orders)


async def release_stock(ask: Participants, orders: Sequence[Order]) -> Sequence[Outcome[Reason]]:
    return await ask.catalog.release(orders)


async def authorize_payment(ask: Participants, orders: Sequence[Order]) -> Sequence[Outcome[Reason]]:
    """Have the total held on the buyer's payment method."""
    return await ask.payments.authorize(orders)


async def void_payment(ask: Participants, orders: Sequence[Order]) -> Sequence[Outcome[Reason]]:
    return await ask.payments.void(orders)


async def confirm_order(ask: Participants, orders: Sequence[Order]) -> Sequence[Outcome[Reason]]:
    """Confirm those that are still pending and whose account is not deleted, with their events, in one commit."""
    times = await ask.database.run_statement(lambda connection: store.checkout.confirm(connection, orders))
    for order in orders:
        # Only now, after the commit, may anybody be told.
        if order.id in times:
            order.status, order.confirmed_at = Status.CONFIRMED, times[order.id]
    return [Done() if order.id in times else Refused(ACCOUNT_DELETED) for order in orders]


CHECKOUT: Saga[Participants, Order, Reason] = Saga(
    Step("reserve stock", do=reserve_stock, undo=release_stock),
    Step("authorize payment", do=authorize_payment, undo=void_payment),
    Pivot("confirm order", do=confirm_order),  # Nothing is undone beyond here.
)

CheckoutRunner: TypeAlias = Runner[Participants, Order, Reason]
