"""The shapes that the storefront reads from others and answers itself.

What orders, payments and notifications tell the caller anyway is handed on as it came, so that a member that they add
is not lost here. What catalog tells only to services is copied member by member, so that nothing internal gets out.
"""

from typing import Any
from uuid import UUID

import msgspec

from chassis.values.money import Money


class OrderedProducts(msgspec.Struct, frozen=True):
    """As much of an order as is needed to look its products up."""

    class Line(msgspec.Struct, frozen=True):
        product_id: UUID

    items: list[Line]


class LookUpProducts(msgspec.Struct, frozen=True):
    """The body of catalog's POST /products/lookup."""

    ids: list[UUID]


class Product(msgspec.Struct, frozen=True):
    """A product as it is now: its price may differ from the one that was paid. `stock` is what can be bought."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int


class FoundProducts(msgspec.Struct, frozen=True):
    items: list[Product]


class ListedProduct(Product, frozen=True, kw_only=True):
    """A product as it stands in catalog's list."""

    description: str
    category: str | None


class ProductPage(msgspec.Struct, frozen=True):
    items: list[ListedProduct]
    next_cursor: str | None


class FoundThings(msgspec.Struct, frozen=True):
    """A page of whatever another service lists."""

    items: list[dict[str, Any]]


class Reason(msgspec.Struct, frozen=True):
    """`code` is stable, `detail` is for people."""

    code: str
    detail: str


class AvailableProducts(msgspec.Struct, frozen=True, tag_field="status", tag="available"):
    items: list[Product]


class Available(msgspec.Struct, frozen=True, tag_field="status", tag="available"):
    """The items, as the service that owns them answers them to the caller."""

    items: list[dict[str, Any]]


class NotAvailable(msgspec.Struct, frozen=True, tag_field="status", tag="unavailable"):
    """The service did not answer. Asking again later may work; the other parts stand."""

    reason: Reason


class OrderDetails(msgspec.Struct, frozen=True):
    """One order with all that belongs to it. `order` is the answer of GET /api/orders/{id}."""

    order: dict[str, Any]
    products: AvailableProducts | NotAvailable
    payments: Available | NotAvailable
    messages: Available | NotAvailable
