"""The events that catalog emits. Their contracts are in contracts/events; consumers copy the shapes that they need."""

from uuid import UUID

from msgspec import Struct

from catalog.domain.product import Product
from catalog.domain.stock import StockAdjustment
from chassis.messaging.journal import Event
from chassis.values.money import Money, money


class ProductChanged(Struct, frozen=True, kw_only=True):
    """The data of `product.created` and `product.updated`."""

    product_id: UUID
    sku: str
    name: str
    price: Money
    category: str | None
    version: int


class ProductDeleted(Struct, frozen=True):
    """The data of `product.deleted`, with the last version."""

    product_id: UUID
    version: int


class StockAdjusted(Struct, frozen=True, kw_only=True):
    """The data of `stock.adjusted`."""

    product_id: UUID
    adjustment_id: UUID
    quantity: int
    reason: str
    available: int


def product_created(product: Product) -> Event:
    return Event(type="product.created", subject=str(product.id), data=_changed(product))


def product_updated(product: Product) -> Event:
    return Event(type="product.updated", subject=str(product.id), data=_changed(product))


def product_deleted(product_id: UUID, version: int) -> Event:
    return Event(type="product.deleted", subject=str(product_id), data=ProductDeleted(product_id, version))


def stock_adjusted(adjustment: StockAdjustment) -> Event:
    return Event(
        type="stock.adjusted",
        subject=str(adjustment.product_id),
        data=StockAdjusted(
            product_id=adjustment.product_id,
            adjustment_id=adjustment.id,
            quantity=adjustment.quantity,
            reason=adjustment.reason,
            available=adjustment.available,
        ),
    )


def _changed(product: Product) -> ProductChanged:
    return ProductChanged(
        product_id=product.id,
        sku=product.sku,
        name=product.name,
        price=money(product.price_minor, product.currency),
        category=product.category,
        version=product.version,
    )
