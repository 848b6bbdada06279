"""The routes for operators: overdue orders, and what can be done about them. The gateway does not route to these."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.operations import TAGS, Reason
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest
from orders import store
from orders.cancel_order import cancel_order_for_operator
from orders.checkout import CheckoutRunner
from orders.domain.order import Status, StuckOrder
from orders.http.schemas import OrderView, view_of
from orders.retry_order import retry_order
from orders.waiters import Waiters

OlderThan = Annotated[
    float, QueryParameter(name="older_than_s", ge=0, le=1e9, description="On their way for so many seconds.")
]


def routes(
    database: Database, runner: CheckoutRunner, cancellations: Waiters, *, lease_s: float
) -> list[HTTPRouteHandler]:
    @get("/orders/stuck", guards=[access.operator], tags=TAGS, summary="Orders that are on their way for too long")
    async def list_stuck(older_than_s: OlderThan = 60.0, limit: Limit = 20, cursor: Cursor = None) -> Page[StuckOrder]:
        """Oldest first, with the trouble that each met last."""
        after = key_of(cursor, UUID)
        orders = await database.read(
            lambda connection: store.stuck_orders.read_stuck(connection, older_than_s, after, limit + 1)
        )
        return page_of(orders, limit, lambda order: order.id)

    @post(
        "/orders/{order_id:uuid}/retry", guards=[access.operator], status_code=202, tags=TAGS, summary="Try again now"
    )
    async def retry(request: CallerRequest, order_id: FromPath[UUID], data: JSONBody[Reason]) -> OrderView:
        return view_of(await retry_order(database, order_id, request.user, data.reason))

    @post(
        "/orders/{order_id:uuid}/cancel-for-operator",
        guards=[access.operator],
        status_code=200,
        tags=TAGS,
        summary="Cancel anybody's order",
    )
    async def cancel_for_operator(
        request: CallerRequest, order_id: FromPath[UUID], data: JSONBody[Reason]
    ) -> Response[OrderView]:
        """202 while what was taken is still being given back."""
        order = await cancel_order_for_operator(
            database, runner, cancellations, order_id, request.user, data.reason, lease_s=lease_s
        )
        return Response(view_of(order), status_code=202 if order.status is Status.CANCELLING else 200)

    return [list_stuck, retry, cancel_for_operator]
