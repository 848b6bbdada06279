"""GET /orders/{id}/details, behind the gateway's /api."""

from uuid import UUID

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from chassis.security import access
from chassis.web.requests import CallerRequest
from storefront.clients.services import ServiceClients
from storefront.http.schemas import OrderDetails
from storefront.join_order_details import join_order_details


def routes(clients: ServiceClients) -> list[HTTPRouteHandler]:
    @get(
        "/orders/{order_id:uuid}/details",
        guards=[access.signed_in],
        summary="An order with its products, payments and messages",
        description=(
            "Joins the answers of several services. `order` is the answer of GET /api/orders/{id}. Products are as "
            "they are now, not as they were bought. A part whose service does not answer is marked, and does not "
            "affect the others. Without the order itself the answer is 503."
        ),
    )
    async def order_details(request: CallerRequest, order_id: FromPath[UUID]) -> OrderDetails:
        return OrderDetails.of(await join_order_details(clients, order_id, request.headers["authorization"]))

    return [order_details]
