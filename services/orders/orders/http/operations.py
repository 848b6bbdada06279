"""Orders for operators: what is stuck, and what can be done about it. The gateway has no route to these."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from chassis.messaging.relay import Relay
from chassis.persistence.database import Database
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.web.operations import TAGS, Reason
from chassis.web.pages import Cursor, Limit, Page, cursor_of, key_of
from orders import store
from orders.cancel_order import OrderCanceller
from orders.domain.order import Status, StuckOrder
from orders.http.schemas import OrderView, view_of
from orders.retry_order import retry_order

CallerRequest = Request[Caller, Any, Any]
OlderThan = Annotated[
    float, QueryParameter(name="older_than_s", ge=0, le=1e9, description="On their way for so many seconds.")
]


@get("/orders/stuck", guards=[access.operator], tags=TAGS, summary="Orders that are on their way for too long")
async def list_stuck(
    database: NamedDependency[Database], older_than_s: OlderThan = 60.0, limit: Limit = 20, cursor: Cursor = None
) -> Page[StuckOrder]:
    """Oldest first, with the trouble that each met last."""
    after = key_of(cursor, UUID)
    orders = await database.read(
        lambda connection: store.stuck_orders.read_stuck(connection, older_than_s, after, limit + 1)
    )
    page = orders[:limit]
    return Page(page, cursor_of(page[-1].id) if len(orders) > limit else None)


@post("/orders/{order_id:uuid}/retry", guards=[access.operator], status_code=202, tags=TAGS, summary="Try again now")
async def retry(
    request: CallerRequest,
    order_id: FromPath[UUID],
    data: JSONBody[Reason],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
) -> OrderView:
    return view_of(await retry_order(database, relay, order_id, request.user, data.reason))


@post(
    "/orders/{order_id:uuid}/cancel-for-operator",
    guards=[access.operator],
    status_code=200,
    tags=TAGS,
    summary="Cancel anybody's order",
)
async def cancel_for_operator(
    request: CallerRequest,
    order_id: FromPath[UUID],
    data: JSONBody[Reason],
    order_canceller: NamedDependency[OrderCanceller],
) -> Response[OrderView]:
    """202 while what was taken is still being given back."""
    order = await order_canceller.cancel_for_operator(order_id, request.user, data.reason)
    return Response(view_of(order), status_code=202 if order.status is Status.CANCELLING else 200)


ROUTES = [list_stuck, retry, cancel_for_operator]
