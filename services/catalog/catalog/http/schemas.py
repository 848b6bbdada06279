"""The shapes of requests and responses. Other services copy those that they use; contracts keep the copies true."""

from datetime import datetime
from typing import Annotated, Any, Self, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from catalog.domain import product as domain
from catalog.domain import stock
from catalog.domain.product import ProductChanges
from catalog.domain.reservation import (
    Outcome,
    RefusalCode,
    Reservation,
    ReservationRefusal,
    StockRequest,
    StockRequestLine,
)
from catalog.product_fields import (
    QUANTITY_MAX,
    Attributes,
    CategoryName,
    Description,
    Name,
    ProductFields,
    Sku,
    check_attributes,
    normal_category_name,
    normal_description,
    price_minor_of,
)
from chassis.problems import Invalid
from chassis.values import visible_text
from chassis.values.money import Money, money

REASON_CHARACTERS_MAX = 200
ORDERS_MAX = 256
"""The number of orders in a call."""
Quantity = Annotated[int, Meta(ge=-QUANTITY_MAX, le=QUANTITY_MAX, description="Not 0; negative takes out.")]


# Products, categories and the stock ledger.


class CreateProduct(ProductFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /products`. `stock` is the initial quantity."""


class ChangeProduct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PATCH /products/{id}`. Fields that are left out stay. `attributes` are replaced as a whole."""

    sku: Sku | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    category: CategoryName | UnsetType | None = UNSET
    price: Money | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET

    def changes(self) -> ProductChanges:
        """The fields that are given, their texts in NFC. Raises `Invalid` for values that no product can have."""
        changes = ProductChanges()
        if self.price is not UNSET:
            changes["price_minor"], changes["currency"] = price_minor_of(self.price), self.price.currency
        if self.attributes is not UNSET:
            check_attributes(self.attributes)
            changes["attributes"] = self.attributes
        if self.sku is not UNSET:
            changes["sku"] = self.sku
        if self.name is not UNSET:
            changes["name"] = visible_text.name(self.name)
        if self.category is not UNSET:
            changes["category"] = (
                None if self.category is None else normal_category_name(self.category, member="category")
            )
        if self.description is not UNSET:
            changes["description"] = normal_description(self.description)
        return changes


class Product(Struct, frozen=True, kw_only=True):
    """A product as clients see it. `stock` is the quantity that can be bought."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str | None
    price: Money
    attributes: dict[str, Any]
    stock: int
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, product: domain.Product) -> Self:
        return cls(
            id=product.id,
            sku=product.sku,
            name=product.name,
            description=product.description,
            category=product.category,
            price=money(product.price_minor, product.currency),
            attributes=dict(product.attributes),
            stock=product.stock,
            version=product.version,
            created_at=product.created_at,
            updated_at=product.updated_at,
        )


class CreateCategory(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /categories`."""

    name: CategoryName

    def normalized(self) -> Self:
        """The same with the name in NFC. Raises `InvalidName`."""
        return msgspec.structs.replace(self, name=normal_category_name(self.name))


class Category(Struct, frozen=True):
    id: UUID
    name: str
    created_at: datetime

    @classmethod
    def of(cls, category: domain.Category) -> Self:
        return cls(category.id, category.name, category.created_at)


class AdjustStock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /products/{id}/stock-adjustments`."""

    quantity: Quantity
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=r"\S", examples=["restock"])]

    def normalized(self) -> Self:
        """The same with the reason in NFC. Raises `Invalid` for no quantity, and `InvalidText`."""
        if self.quantity == 0:
            raise Invalid("quantity: has to be other than 0.")
        reason = visible_text.line(self.reason, member="reason", characters_max=REASON_CHARACTERS_MAX)
        return msgspec.structs.replace(self, reason=reason)


class StockAdjustment(Struct, frozen=True, kw_only=True):
    """An entry of the stock ledger. `available` is the quantity that could be bought right after it. `created_by` is
    the administrator, and null for the entries of the demo shop."""

    id: UUID
    product_id: UUID
    quantity: int
    reason: str
    available: int
    created_by: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, adjustment: stock.StockAdjustment) -> Self:
        return cls(
            id=adjustment.id,
            product_id=adjustment.product_id,
            quantity=adjustment.quantity,
            reason=adjustment.reason,
            available=adjustment.available,
            created_by=adjustment.created_by,
            created_at=adjustment.created_at,
        )


# Calls of other services. They have checked the values, so only the form is checked here: a value that cannot be
# accepted is refused for its own order, and does not fail the batch.


class RequestedLine(Struct, frozen=True):
    product_id: UUID
    quantity: int


class ReservationRequest(Struct, frozen=True, kw_only=True):
    order_id: UUID
    lines: list[RequestedLine]
    expected_total: Money | None = None
    correlation_id: str | None = None
    traceparent: str | None = None

    def stock_request(self) -> StockRequest:
        lines = [StockRequestLine(line.product_id, line.quantity) for line in self.lines]
        return StockRequest(self.order_id, lines, None if self.expected_total is None else _minor(self.expected_total))


class ReservationRequests(Struct, frozen=True):
    """`POST /reservations`."""

    items: Annotated[list[ReservationRequest], Meta(max_length=ORDERS_MAX)]


class LineReserved(Struct, frozen=True):
    product_id: UUID
    name: str
    quantity: int
    unit_price: Money


class OrderReserved(Struct, frozen=True, tag_field="outcome", tag="reserved"):
    order_id: UUID
    lines: list[LineReserved]
    total: Money

    @classmethod
    def of(cls, reservation: Reservation) -> Self:
        currency, total_minor = reservation.currency, reservation.total_minor
        assert currency is not None, "only a tombstone has no currency"
        assert total_minor is not None, "only a tombstone has no total"
        return cls(
            order_id=reservation.order_id,
            lines=[
                LineReserved(line.product_id, line.name, line.quantity, money(line.unit_price_minor, currency))
                for line in reservation.lines
            ],
            total=money(total_minor, currency),
        )


class LineShort(Struct, frozen=True):
    product_id: UUID
    requested: int
    available: int


class OrderRefused(Struct, frozen=True, kw_only=True, tag_field="outcome", tag="refused"):
    order_id: UUID
    code: RefusalCode
    detail: str
    shortages: list[LineShort]
    total: Money | None

    @classmethod
    def of(cls, order_id: UUID, refusal: ReservationRefusal) -> Self:
        total: Money | None = None
        if refusal.total_minor is not None and refusal.currency is not None:
            total = money(refusal.total_minor, refusal.currency)
        return cls(
            order_id=order_id,
            code=refusal.code,
            detail=refusal.detail,
            shortages=[LineShort(short.product_id, short.requested, short.available) for short in refusal.shortages],
            total=total,
        )


ReservationAnswer: TypeAlias = OrderReserved | OrderRefused


class ReservationAnswers(Struct, frozen=True):
    items: list[ReservationAnswer]


class ReleaseRequest(Struct, frozen=True, kw_only=True):
    order_id: UUID
    correlation_id: str | None = None
    traceparent: str | None = None


class ReleaseRequests(Struct, frozen=True):
    """`POST /reservations/release`."""

    items: Annotated[list[ReleaseRequest], Meta(max_length=ORDERS_MAX)]


class ReleaseAnswer(Struct, frozen=True):
    """`outcome` is `released`, or `sold` when the order was confirmed before."""

    order_id: UUID
    outcome: str


class ReleaseAnswers(Struct, frozen=True):
    items: list[ReleaseAnswer]


class ReserveOne(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /products/{id}/reserve`."""

    order_id: UUID
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]


class ReleaseOne(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /products/{id}/release`."""

    order_id: UUID


class ProductLookup(Struct, frozen=True):
    """`POST /products/lookup`."""

    ids: Annotated[list[UUID], Meta(max_length=100)]


class ProductSummary(Struct, frozen=True, kw_only=True):
    """The fields of a product that a cart or an order page shows."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int

    @classmethod
    def of(cls, product: domain.ProductSummary) -> Self:
        return cls(
            id=product.id,
            sku=product.sku,
            name=product.name,
            price=money(product.price_minor, product.currency),
            stock=product.stock,
        )


class ProductSummaries(Struct, frozen=True):
    items: list[ProductSummary]


def reservation_answer(order_id: UUID, outcome: Outcome) -> ReservationAnswer:
    """The answer for one order of `POST /reservations`."""
    if isinstance(outcome, Reservation):
        return OrderReserved.of(outcome)
    return OrderRefused.of(order_id, outcome)


def _minor(total: Money) -> tuple[int, str]:
    try:
        return total.minor(), total.currency
    except Invalid:
        return -1, total.currency  # It is no amount of its currency, so it equals no total.
