"""Internal calls: reserve and release stock for many orders at once or for one, and look products up by id."""

from uuid import UUID

import structlog
from litestar import Router, post
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody

from catalog.browse import look_up_products
from catalog.domain.reservation import Outcome, RefusalCode, Refused, Reservation, Settlement, Wanted, WantedLine
from catalog.errors import (
    AlreadyReleased,
    MixedCurrencies,
    OutOfStock,
    PriceChanged,
    TotalTooLarge,
    UnacceptableLines,
    UnknownProduct,
)
from catalog.messages import (
    LineReserved,
    LineShort,
    LookUp,
    OrderRefused,
    OrderReserved,
    ProductsNow,
    ReleaseAnswer,
    ReleaseAnswers,
    ReleaseOne,
    ReleaseRequests,
    ReservationAnswer,
    ReservationAnswers,
    ReservationRequest,
    ReservationRequests,
    ReserveOne,
)
from catalog.reservation_batcher import ReservationBatcher
from catalog.settle_reservations import Settled
from chassis import context
from chassis.persistence.database import Database
from chassis.problems import Forbidden, Invalid, Refusal, Unauthenticated
from chassis.security import access
from chassis.security.tokens import ANONYMOUS, Caller
from chassis.telemetry import tracing
from chassis.values.money import Money, money
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


@post("/reservations", status_code=200, request_max_body_size=INTERNAL_BODY_BYTES_MAX)
async def reserve_for_orders(
    data: JSONBody[ReservationRequests], desk: NamedDependency[ReservationBatcher]
) -> ReservationAnswers:
    """Reserve for each order all of its lines or none, first come first served; the same again for a known order."""
    with tracing.together("server", (("reserve stock", item.traceparent) for item in data.items)):
        outcomes = await desk.reserve([_wanted(item) for item in data.items])
    for item, outcome in zip(data.items, outcomes, strict=True):
        with context.working_on(item.correlation_id, item.traceparent):
            if isinstance(outcome, Refused):
                _log.info("stock refused", order_id=str(item.order_id), code=outcome.code)
            else:
                _log.info("stock reserved", order_id=str(item.order_id))
    return ReservationAnswers(
        [_answer(item.order_id, outcome) for item, outcome in zip(data.items, outcomes, strict=True)]
    )


@post("/reservations/release", status_code=200, request_max_body_size=INTERNAL_BODY_BYTES_MAX)
async def release_for_orders(
    data: JSONBody[ReleaseRequests], desk: NamedDependency[ReservationBatcher]
) -> ReleaseAnswers:
    """Give back what the orders hold. An order that holds nothing yet will get nothing later either."""
    undone = [Settled(item.order_id, Settlement.UNDO, item.correlation_id, item.traceparent) for item in data.items]
    with tracing.together("server", (("release stock", item.traceparent) for item in data.items)):
        reservations = await desk.release(undone)
    for item, reservation in zip(data.items, reservations, strict=True):
        with context.working_on(item.correlation_id, item.traceparent):
            _log.info("stock released", order_id=str(item.order_id), outcome=reservation.state)
    return ReleaseAnswers([ReleaseAnswer(reservation.order_id, reservation.state) for reservation in reservations])


@post("/products/{product_id:uuid}/reserve", status_code=200, operation_class=InternalOperation)
async def reserve_one(
    product_id: FromPath[UUID], data: JSONBody[ReserveOne], desk: NamedDependency[ReservationBatcher]
) -> OrderReserved:
    """Reserve some of one product for an order. 409 with `available` when there is less."""
    [outcome] = await desk.reserve([Wanted(data.order_id, [WantedLine(product_id, data.quantity)])])
    if isinstance(outcome, Refused):
        extras = {"available": outcome.shortages[0].available} if outcome.shortages else {}
        raise REFUSALS[outcome.code](outcome.detail, **extras)
    _log.info("stock reserved", order_id=str(data.order_id))
    return _reserved(outcome)


@post("/products/{product_id:uuid}/release", status_code=200, operation_class=InternalOperation)
async def release_one(
    product_id: FromPath[UUID], data: JSONBody[ReleaseOne], desk: NamedDependency[ReservationBatcher]
) -> ReleaseAnswer:
    """Give back what the order holds; `sold` when it is too late for that."""
    [reservation] = await desk.release([Settled(data.order_id, Settlement.UNDO)])
    _log.info("stock released", order_id=str(data.order_id), product_id=str(product_id), outcome=reservation.state)
    return ReleaseAnswer(data.order_id, reservation.state)


@post("/products/lookup", status_code=200, guards=[access.services("orders", "storefront")])
async def look_up(data: JSONBody[LookUp], database: NamedDependency[Database]) -> ProductsNow:
    """The products as they are now; ids that are none are left out."""
    return ProductsNow(await look_up_products(database, data.ids))


async def orders_or_administrator(connection: access.Connection, handler: BaseRouteHandler) -> None:
    """The orders service, or a person with the role admin."""
    await access.public(connection, handler)
    caller: Caller = connection.user
    if caller == ANONYMOUS:
        raise Unauthenticated
    if caller.service != "orders" and not caller.is_administrator:
        raise Forbidden("This is an internal call.")


ROUTES = (
    Router("/", guards=[access.services("orders")], route_handlers=[reserve_for_orders, release_for_orders]),
    Router("/", guards=[orders_or_administrator], route_handlers=[reserve_one, release_one]),
    look_up,
)


def _wanted(item: ReservationRequest) -> Wanted:
    lines = [WantedLine(line.product_id, line.quantity) for line in item.lines]
    return Wanted(item.order_id, lines, None if item.expected_total is None else _expected(item.expected_total))


def _expected(total: Money) -> tuple[int, str]:
    try:
        return total.minor(), total.currency
    except Invalid:
        return -1, total.currency  # No amount of its currency, so no total is equal to it.


def _answer(order_id: UUID, outcome: Outcome) -> ReservationAnswer:
    if isinstance(outcome, Reservation):
        return _reserved(outcome)
    total: Money | None = None
    if outcome.total_minor is not None and outcome.currency is not None:
        total = money(outcome.total_minor, outcome.currency)
    return OrderRefused(
        order_id=order_id,
        code=outcome.code,
        detail=outcome.detail,
        shortages=[LineShort(short.product_id, short.requested, short.available) for short in outcome.shortages],
        total=total,
    )


def _reserved(reservation: Reservation) -> OrderReserved:
    currency, total_minor = reservation.currency, reservation.total_minor
    assert currency is not None, "only a tombstone has none"
    assert total_minor is not None, "only a tombstone has none"
    return OrderReserved(
        order_id=reservation.order_id,
        lines=[
            LineReserved(line.product_id, line.name, line.quantity, money(line.unit_price_minor, currency))
            for line in reservation.lines
        ],
        total=money(total_minor, currency),
    )
