"""Use case: one order with its products as they are now, its payments and its messages, in one answer.

The order comes first, since it decides whether the caller may see anything at all. The other parts are asked for at
the same time, each within a limit of its own, and each may be missing without taking the rest along.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, ServiceClient, refusal_from
from storefront.clients.services import Peers
from storefront.errors import OrderUnavailable
from storefront.http.schemas import (
    Available,
    AvailableProducts,
    FoundProducts,
    FoundThings,
    LookUpProducts,
    NotAvailable,
    OrderDetails,
    OrderedProducts,
    Reason,
)

PART_S_MAX = 1.0
_ITEMS_MAX = "100"
_log = structlog.get_logger()

PartT = TypeVar("PartT")


async def join_order_details(peers: Peers, order_id: UUID, authorization: str) -> OrderDetails:
    """The details of the order, as the holder of `authorization` may see them.

    Raises what orders refuses with (a stranger's order is not found), or `OrderUnavailable`.
    """
    order, ordered = await _order(peers, order_id, authorization)
    query = {"order_id": str(order_id), "limit": _ITEMS_MAX}
    products, payments, messages = await asyncio.gather(
        _part("products", _products(peers, ordered)),
        _part("payments", _things(peers.payments, "/payments", query, authorization)),
        _part("messages", _things(peers.notifications, "/notifications", query, authorization)),
    )
    return OrderDetails(order=order, products=products, payments=payments, messages=messages)


async def _order(peers: Peers, order_id: UUID, authorization: str) -> tuple[dict[str, Any], OrderedProducts]:
    try:
        order = await peers.orders.call(
            "GET",
            f"/orders/{order_id}",
            dict[str, Any],
            idempotent=True,
            timeout_s=PART_S_MAX,
            authorization=authorization,
            route="/orders/{id}",
        )
        return order, msgspec.convert(order, OrderedProducts)
    except RefusedByPeer as error:
        raise refusal_from(error.problem) from error
    except (Unavailable, OutcomeUnknown, msgspec.ValidationError) as error:
        raise OrderUnavailable from error


async def _products(peers: Peers, ordered: OrderedProducts) -> AvailableProducts:
    found = await peers.catalog.call(
        "POST",
        "/products/lookup",
        FoundProducts,
        body=LookUpProducts([line.product_id for line in ordered.items]),
        idempotent=True,
        timeout_s=PART_S_MAX,
    )
    return AvailableProducts(found.items)


async def _things(client: ServiceClient, path: str, query: dict[str, str], authorization: str) -> Available:
    found = await client.call(
        "GET",
        path,
        FoundThings,
        query=query,
        idempotent=True,
        timeout_s=PART_S_MAX,
        authorization=authorization,
    )
    return Available(found.items)


async def _part(name: str, asking: Awaitable[PartT]) -> PartT | NotAvailable:
    try:
        return await asking
    except RefusedByPeer as error:
        reason = Reason("refused", f"The service refused: {error.problem.code}.")
        _log.warning("a part of the details was refused", part=name, error=str(error))
    except (Unavailable, OutcomeUnknown) as error:
        reason = Reason("no_answer", "The service gave no usable answer in time.")
        _log.warning("a part of the details is missing", part=name, error=str(error))
    return NotAvailable(reason)
