"""The HTTP shapes: what clients send and get."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chassis.values.money import Money, money
from orders.amounts import total_of
from orders.domain.order import LINES_MAX, QUANTITY_MAX, Line, Order, Status

Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]


class OrderedItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: UUID
    quantity: Quantity


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Either `items`, or `from_cart: true` to buy what is in the cart."""

    items: Annotated[list[OrderedItem], Meta(min_length=1, max_length=LINES_MAX)] | UnsetType = UNSET
    from_cart: bool = False
    payment_method: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    expected_total: Money | UnsetType = UNSET


class PutCartItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quantity: Quantity


class UserView(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    email: str


class ItemView(msgspec.Struct, frozen=True, kw_only=True):
    """`name`, `unit_price` and `line_total` are there once the stock is reserved."""

    product_id: UUID
    name: str | UnsetType = UNSET
    quantity: int
    unit_price: Money | UnsetType = UNSET
    line_total: Money | UnsetType = UNSET


class ReasonView(msgspec.Struct, frozen=True):
    code: str
    detail: str


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its buyer sees it. `reason` is there when it was refused or cancelled.

    `refunded` is there once something was refunded: the sum. It follows payments by moments, and is read with the
    order; the answer to a purchase never has it.
    """

    id: UUID
    user: UserView
    items: list[ItemView]
    total: Money | None
    status: str
    created_at: datetime
    reason: ReasonView | UnsetType = UNSET
    refunded: Money | UnsetType = UNSET


class TimelineEntry(msgspec.Struct, frozen=True):
    """`actor` is who did it: `user:<id>`, `operator` (administrators also see `:<id>`) or `service:<name>`."""

    at: datetime
    event: str
    actor: str | None
    data: dict[str, Any]


class Timeline(msgspec.Struct, frozen=True):
    items: list[TimelineEntry]


class CartItemView(msgspec.Struct, frozen=True, kw_only=True):
    """Name, price and stock are as they are now; they are left out while catalog cannot be asked, and so is a
    `line_total` that is more than can be handled."""

    product_id: UUID
    quantity: int
    name: str | UnsetType = UNSET
    unit_price: Money | UnsetType = UNSET
    line_total: Money | UnsetType = UNSET
    stock: int | UnsetType = UNSET


class CartView(msgspec.Struct, frozen=True):
    """`total` is null for an empty cart, for one of several currencies, for one that is more than can be handled, and
    while prices are not to be had."""

    items: list[CartItemView]
    total: Money | None
    prices: Literal["current", "unavailable"]


def view_of(order: Order, status: Status | None = None, refunded: Money | None = None) -> OrderView:
    """The order as JSON shows it; `status` shows it as it was answered before."""
    shown = status or order.status
    return OrderView(
        id=order.id,
        user=UserView(order.customer.id, order.customer.name, order.customer.email),
        items=[_item_view(line, order.currency) for line in order.lines],
        total=total_of(order),
        status=shown.value,
        created_at=order.created_at,
        reason=ReasonView(order.reason.code, order.reason.detail)
        if order.reason is not None and shown is not Status.CONFIRMED
        else UNSET,
        refunded=UNSET if refunded is None else refunded,
    )


def _item_view(line: Line, currency: str | None) -> ItemView:
    if currency is None or line.unit_price_minor is None or line.name is None:
        return ItemView(product_id=line.product_id, quantity=line.quantity)
    return ItemView(
        product_id=line.product_id,
        name=line.name,
        quantity=line.quantity,
        unit_price=money(line.unit_price_minor, currency),
        line_total=money(line.total_minor, currency),
    )
