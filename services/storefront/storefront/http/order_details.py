"""What clients ask the storefront by the gateway's /api."""

from typing import Any
from uuid import UUID

from litestar import Request, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from chassis.security import access
from storefront.clients.services import Peers
from storefront.http.schemas import OrderDetails
from storefront.join_order_details import join_order_details


def routes(peers: Peers) -> list[ControllerRouterHandler]:
    @get(
        "/orders/{order_id:uuid}/details",
        guards=[access.signed_in],
        summary="An order with its products, payments and messages",
        description=(
            "Joins the answers of several services. `order` is what GET /api/orders/{id} answers, and products are as "
            "they are now, not as they were bought. A part whose service does not answer says so and leaves the others "
            "standing; without the order itself there is no answer but 503."
        ),
    )
    async def order_details(request: Request[Any, Any, Any], order_id: FromPath[UUID]) -> OrderDetails:
        return await join_order_details(peers, order_id, request.headers["authorization"])

    return [order_details]
