"""The bodies of responses."""

from typing import Any
from uuid import UUID

import msgspec

from chassis.values.money import Money
from storefront.domain import order_details as domain
from storefront.domain.order_details import MissingPart


class Product(msgspec.Struct, frozen=True):
    """A product as it is now: the order may have paid another price. `stock` is the quantity that can be bought."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int

    @classmethod
    def of(cls, product: domain.Product) -> "Product":
        return cls(product.id, product.sku, product.name, product.price, product.stock)


class Reason(msgspec.Struct, frozen=True):
    """`code` is stable, `detail` is for people."""

    code: str
    detail: str


class AvailableProducts(msgspec.Struct, frozen=True, tag_field="status", tag="available"):
    items: list[Product]


class Available(msgspec.Struct, frozen=True, tag_field="status", tag="available"):
    """The items, as their service answered them to the caller."""

    items: list[dict[str, Any]]


class NotAvailable(msgspec.Struct, frozen=True, tag_field="status", tag="unavailable"):
    """The service did not answer. A later request may succeed. The other parts are not affected."""

    reason: Reason


class OrderDetails(msgspec.Struct, frozen=True):
    """An order with its products, payments and messages. `order` is the answer of GET /api/orders/{id}."""

    order: dict[str, Any]
    products: AvailableProducts | NotAvailable
    payments: Available | NotAvailable
    messages: Available | NotAvailable

    @classmethod
    def of(cls, details: domain.OrderDetails) -> "OrderDetails":
        products = details.products
        return cls(
            order=details.order,
            products=_not_available(products)
            if isinstance(products, MissingPart)
            else AvailableProducts([Product.of(product) for product in products]),
            payments=_list(details.payments),
            messages=_list(details.messages),
        )


def _list(part: list[dict[str, Any]] | MissingPart) -> Available | NotAvailable:
    return _not_available(part) if isinstance(part, MissingPart) else Available(part)


def _not_available(part: MissingPart) -> NotAvailable:
    return NotAvailable(Reason(part.code, part.detail))
