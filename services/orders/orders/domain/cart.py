"""A cart with the current products of catalog."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Product:
    """A product as catalog describes it now."""

    id: UUID
    name: str
    price_minor: int
    currency: str
    stock: int


@dataclass(frozen=True, slots=True)
class CartItem:
    """`product` is None when catalog is not available, or no longer has the product."""

    product_id: UUID
    quantity: int
    product: Product | None = None

    @property
    def total_minor(self) -> int | None:
        return None if self.product is None else self.product.price_minor * self.quantity


@dataclass(frozen=True, slots=True)
class Cart:
    items: tuple[CartItem, ...]
    has_prices: bool

    def total_minor(self, amount_max: int) -> tuple[int, str] | None:
        """The total and its currency. None for an empty cart, several currencies, a missing product, or more than
        `amount_max` for a line or the total: such a total would mislead."""
        currencies = {item.product.currency for item in self.items if item.product is not None}
        totals = [item.total_minor for item in self.items]
        known = [total for total in totals if total is not None and total <= amount_max]
        if len(currencies) != 1 or len(known) != len(totals) or sum(known) > amount_max:
            return None
        return sum(known), currencies.pop()
