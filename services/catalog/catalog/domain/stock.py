"""The stock of a product, and the entries of the stock ledger."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProductStock:
    """A product with its available quantity, its stock row locked by the current transaction."""

    product_id: UUID
    name: str
    unit_price_minor: int
    currency: str
    available: int
    is_on_sale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StockAdjustment:
    """An entry of the stock ledger. `available` is the quantity right after it. `created_by` is the administrator."""

    id: UUID
    product_id: UUID
    quantity: int
    reason: str
    available: int
    created_by: UUID | None
    created_at: datetime
