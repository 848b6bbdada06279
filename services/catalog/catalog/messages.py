"""The shapes of requests and answers. Copied where others need them, never shared; contracts keep them true."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from catalog.domain.reservation import RefusalCode
from chassis.values.money import Money
from chassis.values.visible_text import NAME_CHARACTERS_MAX

QUANTITY_MAX = 2**31 - 1
DESCRIPTION_CHARACTERS_MAX = 10_000
CATEGORY_CHARACTERS_MAX = 80
REASON_CHARACTERS_MAX = 200
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"\S")]
Sku = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?!\n)$", description="Unique", examples=["USB-C-HUB"])
]
Description = Annotated[str, Meta(max_length=DESCRIPTION_CHARACTERS_MAX)]
CategoryName = Annotated[
    str,
    Meta(min_length=1, max_length=CATEGORY_CHARACTERS_MAX, pattern=r"^\S(.*\S)?(?!\n)$", examples=["Keyboards"]),
]
Attributes = Annotated[dict[str, Any], Meta(description="Any JSON object of up to 8 KiB, nested up to 5 deep.")]
Quantity = Annotated[int, Meta(ge=-QUANTITY_MAX, le=QUANTITY_MAX, description="Not 0; negative takes out.")]


class CreateProduct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /products`. `stock` is what is there from the start."""

    sku: Sku
    name: Name
    description: Description = ""
    category: CategoryName | None = None
    price: Money
    attributes: Attributes = {}
    stock: Annotated[int, Meta(ge=0, le=QUANTITY_MAX)] = 0


class ChangeProduct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PATCH /products/{id}`: what is not given stays. `attributes` replace the former ones as a whole."""

    sku: Sku | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    category: CategoryName | UnsetType | None = UNSET
    price: Money | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET


class CreateCategory(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /categories`."""

    name: CategoryName


class AdjustStock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /products/{id}/stock-adjustments`."""

    quantity: Quantity
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=r"\S", examples=["restock"])]


class Product(Struct, frozen=True, kw_only=True):
    """A product as clients see it. `stock` is what can still be bought."""

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


class Category(Struct, frozen=True):
    id: UUID
    name: str
    created_at: datetime


class StockAdjustment(Struct, frozen=True, kw_only=True):
    """A line of the stock ledger. `available` is what could be bought right after it; `created_by` is the
    administrator, and null for what came with the demo shop."""

    id: UUID
    product_id: UUID
    quantity: int
    reason: str
    available: int
    created_by: UUID | None
    created_at: datetime


# What other services ask. They send what they have checked already, so only the form is checked here: a value that
# cannot be accepted gets a refusal of its own, and does not spoil the batch.


class RequestedLine(Struct, frozen=True):
    product_id: UUID
    quantity: int


class ReservationRequest(Struct, frozen=True, kw_only=True):
    order_id: UUID
    lines: list[RequestedLine]
    expected_total: Money | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


class ReservationRequests(Struct, frozen=True):
    """`POST /reservations`."""

    items: Annotated[list[ReservationRequest], Meta(max_length=256)]


class LineReserved(Struct, frozen=True):
    product_id: UUID
    name: str
    quantity: int
    unit_price: Money


class OrderReserved(Struct, frozen=True, tag_field="outcome", tag="reserved"):
    order_id: UUID
    lines: list[LineReserved]
    total: Money


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


ReservationAnswer: TypeAlias = OrderReserved | OrderRefused


class ReservationAnswers(Struct, frozen=True):
    items: list[ReservationAnswer]


class ReleaseRequest(Struct, frozen=True, kw_only=True):
    order_id: UUID
    correlation_id: str | None = None
    traceparent: str | None = None


class ReleaseRequests(Struct, frozen=True):
    """`POST /reservations/release`."""

    items: Annotated[list[ReleaseRequest], Meta(max_length=256)]


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


class LookUp(Struct, frozen=True):
    """`POST /products/lookup`."""

    ids: Annotated[list[UUID], Meta(max_length=100)]


class ProductNow(Struct, frozen=True, kw_only=True):
    """What a cart or an order page shows of a product."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int


class ProductsNow(Struct, frozen=True):
    items: list[ProductNow]
