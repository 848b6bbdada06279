"""Calls to catalog. Its internal shapes are copied member by member, so that no internal member is published."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.values.money import Money
from chassis.web.client import ServiceClient
from storefront.domain.order_details import Product


class LookUpProducts(msgspec.Struct, frozen=True):
    """The body of POST /products/lookup."""

    ids: list[UUID]


class FoundProducts(msgspec.Struct, frozen=True):
    items: list[Product]


class ListedProduct(msgspec.Struct, frozen=True):
    """A product of GET /products. `stock` is the quantity that can be bought."""

    id: UUID
    sku: str
    name: str
    price: Money
    stock: int
    description: str
    category: str | None


class ProductPage(msgspec.Struct, frozen=True):
    items: list[ListedProduct]
    next_cursor: str | None


async def look_up_products(catalog: ServiceClient, ids: Sequence[UUID], *, timeout_s: float) -> list[Product]:
    """Raises `RefusedByPeer`, `Unavailable` or `OutcomeUnknown`."""
    found = await catalog.call(
        "POST",
        "/products/lookup",
        FoundProducts,
        body=LookUpProducts(list(ids)),
        idempotent=True,
        timeout_s=timeout_s,
    )
    return found.items


async def read_products(catalog: ServiceClient, query: dict[str, str], *, timeout_s: float) -> ProductPage:
    """Raises `RefusedByPeer`, `Unavailable` or `OutcomeUnknown`."""
    return await catalog.call("GET", "/products", ProductPage, query=query, idempotent=True, timeout_s=timeout_s)
