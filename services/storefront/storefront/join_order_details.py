"""Joins an order with its products as they are now, its payments and its messages.

The order comes first, since it decides whether the caller may see anything. The other parts are fetched concurrently,
each within its own time limit. A part that fails is marked as missing and does not affect the others.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, refusal_from
from storefront.clients.catalog import look_up_products
from storefront.clients.lists_of_order import read_messages, read_payments
from storefront.clients.orders import read_order
from storefront.clients.services import ServiceClients
from storefront.domain.order_details import MissingPart, OrderDetails
from storefront.errors import OrderUnavailable

PART_S_MAX = 1.0
_log = structlog.get_logger()

PartT = TypeVar("PartT")


async def join_order_details(clients: ServiceClients, order_id: UUID, authorization: str) -> OrderDetails:
    """The details that the holder of `authorization` may see.

    Raises the refusal of orders (not found, for the order of another user), or `OrderUnavailable`.
    """
    order, product_ids = await _read_order(clients, order_id, authorization)
    products, payments, messages = await asyncio.gather(
        _part("products", look_up_products(clients.catalog, product_ids, timeout_s=PART_S_MAX)),
        _part("payments", read_payments(clients.payments, order_id, authorization, timeout_s=PART_S_MAX)),
        _part("messages", read_messages(clients.notifications, order_id, authorization, timeout_s=PART_S_MAX)),
    )
    return OrderDetails(order=order, products=products, payments=payments, messages=messages)


async def _read_order(clients: ServiceClients, order_id: UUID, authorization: str) -> tuple[dict[str, Any], list[UUID]]:
    try:
        return await read_order(clients.orders, order_id, authorization, timeout_s=PART_S_MAX)
    except RefusedByPeer as error:
        raise refusal_from(error.problem) from error
    except (Unavailable, OutcomeUnknown, msgspec.ValidationError) as error:
        raise OrderUnavailable from error


async def _part(name: str, call: Awaitable[PartT]) -> PartT | MissingPart:
    try:
        return await call
    except RefusedByPeer as error:
        _log.warning("part of the order details refused", part=name, error=str(error))
        return MissingPart("refused", f"The service refused: {error.problem.code}.")
    except (Unavailable, OutcomeUnknown) as error:
        _log.warning("part of the order details missing", part=name, error=str(error))
        return MissingPart("no_answer", "The service gave no usable answer in time.")
