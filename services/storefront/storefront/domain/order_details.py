"""An order with its products, payments and messages. Each part beside the order may be missing."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from chassis.values.money import Money


@dataclass(frozen=True)
class Product:
    """A product as it is now: the order may have paid another price. `stock` is the quantity that can be bought."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int


@dataclass(frozen=True)
class MissingPart:
    """`code` is stable, `detail` is for people."""

    code: Literal["no_answer", "refused"]
    detail: str


@dataclass(frozen=True)
class OrderDetails:
    """`order`, payments and messages are as their services answered them to the caller."""

    order: dict[str, Any]
    products: list[Product] | MissingPart
    payments: list[dict[str, Any]] | MissingPart
    messages: list[dict[str, Any]] | MissingPart
