"""Calls to orders, with the access token of the caller."""

from typing import Any
from uuid import UUID

import msgspec

from chassis.web.client import ServiceClient


class OrderedProducts(msgspec.Struct, frozen=True):
    """The part of an order that the lookup of its products needs."""

    class Line(msgspec.Struct, frozen=True):
        product_id: UUID

    items: list[Line]


async def read_order(
    orders: ServiceClient, order_id: UUID, authorization: str, *, timeout_s: float
) -> tuple[dict[str, Any], list[UUID]]:
    """The order as orders answers it, and the ids of its products.

    Raises `RefusedByPeer`, `Unavailable`, `OutcomeUnknown`, or `msgspec.ValidationError` for another shape.
    """
    order = await orders.call(
        "GET",
        f"/orders/{order_id}",
        dict[str, Any],
        idempotent=True,
        timeout_s=timeout_s,
        authorization=authorization,
        route="/orders/{id}",
    )
    return order, [line.product_id for line in msgspec.convert(order, OrderedProducts).items]
