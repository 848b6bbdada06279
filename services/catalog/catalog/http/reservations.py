"""Internal calls that reserve and release stock, for many orders at once or for one."""

from collections.abc import Sequence
from uuid import UUID

import structlog
from litestar import Router, post
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from catalog.domain.reservation import (
    Outcome,
    RefusalCode,
    ReservationRefusal,
    Settlement,
    StockRequest,
    StockRequestLine,
)
from catalog.errors import (
    AlreadyReleased,
    MixedCurrencies,
    OutOfStock,
    PriceChanged,
    TotalTooLarge,
    UnacceptableLines,
    UnknownProduct,
)
from catalog.http.schemas import (
    OrderReserved,
    ReleaseAnswer,
    ReleaseAnswers,
    ReleaseOne,
    ReleaseRequests,
    ReservationAnswers,
    ReservationRequest,
    ReservationRequests,
    ReserveOne,
    reservation_answer,
)
from catalog.reservation_batcher import ReservationBatcher
from catalog.settle_reservations import SettlementRequest
from chassis import context
from chassis.problems import Forbidden, Refusal, Unauthenticated
from chassis.security import access
from chassis.security.tokens import ANONYMOUS, Caller
from chassis.telemetry import tracing
from chassis.web.application import INTERNAL_BODY_BYTES_MAX
from chassis.web.openapi import InternalOperation

_log = structlog.get_logger()

REFUSALS: dict[RefusalCode, type[Refusal]] = {
    "out_of_stock": OutOfStock,
    "unknown_product": UnknownProduct,
    "price_changed": PriceChanged,
    "mixed_currencies": MixedCurrencies,
    "total_too_large": TotalTooLarge,
    "released": AlreadyReleased,
    "unacceptable_lines": UnacceptableLines,
}


def routes(batcher: ReservationBatcher) -> list[HTTPRouteHandler | Router]:
    return [
        Router("/", guards=[access.services("orders")], route_handlers=_for_orders(batcher)),
        Router("/", guards=[orders_or_administrator], route_handlers=_for_one_product(batcher)),
    ]


async def orders_or_administrator(connection: access.Connection, handler: BaseRouteHandler) -> None:
    """A guard that admits the orders service and administrators."""
    await access.public(connection, handler)
    caller: Caller = connection.user
    if caller == ANONYMOUS:
        raise Unauthenticated
    if caller.service != "orders" and not caller.is_administrator:
        raise Forbidden("This is an internal call.")


def _for_orders(batcher: ReservationBatcher) -> list[HTTPRouteHandler]:
    @post(
        "/reservations",
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        summary="Reserve stock for orders",
    )
    async def reserve_for_orders(data: JSONBody[ReservationRequests]) -> ReservationAnswers:
        """Reserve for each order all of its lines or none, first come, first served. A repeated order gets the same
        answer again."""
        with tracing.together("server", (("reserve stock", item.traceparent) for item in data.items)):
            outcomes = await batcher.reserve([item.stock_request() for item in data.items])
        _log_outcomes(data.items, outcomes)
        return ReservationAnswers(
            [reservation_answer(item.order_id, outcome) for item, outcome in zip(data.items, outcomes, strict=True)]
        )

    @post(
        "/reservations/release",
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        summary="Release the stock of orders",
    )
    async def release_for_orders(data: JSONBody[ReleaseRequests]) -> ReleaseAnswers:
        """Release the stock that the orders hold. An order that holds none yet gets none later either."""
        requests = [
            SettlementRequest(item.order_id, Settlement.UNDO, item.correlation_id, item.traceparent)
            for item in data.items
        ]
        with tracing.together("server", (("release stock", item.traceparent) for item in data.items)):
            reservations = await batcher.release(requests)
        for item, reservation in zip(data.items, reservations, strict=True):
            with context.working_on(item.correlation_id, item.traceparent):
                _log.info("stock released", order_id=str(item.order_id), outcome=reservation.state)
        return ReleaseAnswers([ReleaseAnswer(reservation.order_id, reservation.state) for reservation in reservations])

    return [reserve_for_orders, release_for_orders]


def _for_one_product(batcher: ReservationBatcher) -> list[HTTPRouteHandler]:
    @post(
        "/products/{product_id:uuid}/reserve",
        status_code=200,
        operation_class=InternalOperation,
        summary="Reserve one product",
    )
    async def reserve_one(product_id: FromPath[UUID], data: JSONBody[ReserveOne]) -> OrderReserved:
        """Reserve a quantity of one product for an order. 409 with `available` when there is less."""
        request = StockRequest(data.order_id, [StockRequestLine(product_id, data.quantity)])
        [outcome] = await batcher.reserve([request])
        if isinstance(outcome, ReservationRefusal):
            extras = {"available": outcome.shortages[0].available} if outcome.shortages else {}
            raise REFUSALS[outcome.code](outcome.detail, **extras)
        _log.info("stock reserved", order_id=str(data.order_id))
        return OrderReserved.of(outcome)

    @post(
        "/products/{product_id:uuid}/release",
        status_code=200,
        operation_class=InternalOperation,
        summary="Release one product",
    )
    async def release_one(product_id: FromPath[UUID], data: JSONBody[ReleaseOne]) -> ReleaseAnswer:
        """Release the stock that the order holds; `sold` when the order was confirmed before."""
        [reservation] = await batcher.release([SettlementRequest(data.order_id, Settlement.UNDO)])
        _log.info("stock released", order_id=str(data.order_id), product_id=str(product_id), outcome=reservation.state)
        return ReleaseAnswer(data.order_id, reservation.state)

    return [reserve_one, release_one]


def _log_outcomes(items: Sequence[ReservationRequest], outcomes: Sequence[Outcome]) -> None:
    for item, outcome in zip(items, outcomes, strict=True):
        with context.working_on(item.correlation_id, item.traceparent):
            if isinstance(outcome, ReservationRefusal):
                _log.info("stock refused", order_id=str(item.order_id), code=outcome.code)
            else:
                _log.info("stock reserved", order_id=str(item.order_id))
