"""Products and categories, as the store keeps them and as use cases change them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProduct:
    """A product before it has an id. `price_minor` is in minor units of `currency` (ISO 4217)."""

    sku: str
    name: str
    description: str
    category: str | None
    price_minor: int
    currency: str
    attributes: Mapping[str, Any]
    stock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A version of a product. `stock` is the quantity that can be bought; it changes without a new version."""

    id: UUID
    sku: str
    name: str
    description: str
    category: str | None
    price_minor: int
    currency: str
    attributes: Mapping[str, Any]
    stock: int
    version: int
    created_at: datetime
    updated_at: datetime


class ProductChanges(TypedDict, total=False):
    """The fields of a product that a client changes, with their new values. `attributes` are replaced as a whole."""

    sku: str
    name: str
    description: str
    category: str | None
    price_minor: int
    currency: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSummary:
    """The fields of a product that a cart or an order page shows."""

    id: UUID
    sku: str
    name: str
    price_minor: int
    currency: str
    stock: int


@dataclass(frozen=True, slots=True)
class Category:
    """A category. Its name is unique, whatever its case and its form of Unicode."""

    id: UUID
    name: str
    created_at: datetime
