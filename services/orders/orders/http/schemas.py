"""The HTTP shapes: what clients send and get."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType
from uuid_utils.compat import uuid7

from chassis import context
from chassis.values.money import MINOR_MAX, Money, money
from chassis.web import idempotency
from orders.amounts import total_of
from orders.domain.cart import Cart, CartItem
from orders.domain.order import LINES_MAX, QUANTITY_MAX, Line, NewOrder, Order, Status

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
    """`name`, `unit_price` and `line_total` are known when the stock is reserved."""

    product_id: UUID
    name: str | UnsetType = UNSET
    quantity: int
    unit_price: Money | UnsetType = UNSET
    line_total: Money | UnsetType = UNSET


class ReasonView(msgspec.Struct, frozen=True):
    code: str
    detail: str


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its customer sees it. It has a `reason` when it was refused or cancelled.

    `refunded` is the sum of the refunds, if there are any. It is a copy from payments, which may lag by moments. The
    answer to a purchase never has it.
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
    """`actor` is one of `user:<id>`, `operator` (administrators also see `:<id>`) or `service:<name>`."""

    at: datetime
    event: str
    actor: str | None
    data: dict[str, Any]


class Timeline(msgspec.Struct, frozen=True):
    items: list[TimelineEntry]


class CartItemView(msgspec.Struct, frozen=True, kw_only=True):
    """Name, price and stock are the current ones. They are left out while catalog is not available, as is a
    `line_total` above the largest amount."""

    product_id: UUID
    quantity: int
    name: str | UnsetType = UNSET
    unit_price: Money | UnsetType = UNSET
    line_total: Money | UnsetType = UNSET
    stock: int | UnsetType = UNSET


class CartView(msgspec.Struct, frozen=True):
    """`total` is null for an empty cart, for several currencies, above the largest amount, and without prices."""

    items: list[CartItemView]
    total: Money | None
    prices: Literal["current", "unavailable"]


def new_order(request: PlaceOrder, user_id: UUID, idempotency_key: str | None, *, answer_later: bool) -> NewOrder:
    """The request as an order. One that buys the cart gets its lines when it is stored."""
    items = [] if request.items is UNSET else request.items
    expected = None if request.expected_total is UNSET else request.expected_total
    return NewOrder(
        id=uuid7(),
        user_id=user_id,
        lines=tuple(Line(item.product_id, item.quantity) for item in items),
        payment_method=None if request.payment_method is UNSET else request.payment_method,
        expected_total_minor=None if expected is None else expected.minor(),
        expected_currency=None if expected is None else expected.currency,
        from_cart=request.from_cart,
        answer_later=answer_later,
        idempotency_key=idempotency_key,
        fingerprint=idempotency.fingerprint(request),
        correlation_id=context.correlation_id(),
        traceparent=context.traceparent(),
    )


def cart_view_of(cart: Cart) -> CartView:
    total = cart.total_minor(MINOR_MAX)
    return CartView(
        [_cart_item_view(item, has_prices=cart.has_prices) for item in cart.items],
        None if total is None else money(*total),
        "current" if cart.has_prices else "unavailable",
    )


def _cart_item_view(item: CartItem, *, has_prices: bool) -> CartItemView:
    product, total_minor = item.product, item.total_minor
    if product is None or total_minor is None:
        stock = 0 if has_prices else UNSET
        return CartItemView(product_id=item.product_id, quantity=item.quantity, stock=stock)
    return CartItemView(
        product_id=item.product_id,
        quantity=item.quantity,
        name=product.name,
        unit_price=money(product.price_minor, product.currency),
        line_total=money(total_minor, product.currency) if total_minor <= MINOR_MAX else UNSET,
        stock=product.stock,
    )


def view_of(order: Order, status: Status | None = None, refunded: Money | None = None) -> OrderView:
    """The order as JSON. `status` replaces its status, to repeat an earlier answer."""
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
