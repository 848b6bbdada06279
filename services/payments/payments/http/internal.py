"""What orders calls, authorize and void, and what notifications calls, a batch at a time."""

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.security import access
from chassis.telemetry import tracing
from chassis.web.application import INTERNAL_BODY_BYTES_MAX
from payments.authorize_payments import AuthorizePayments
from payments.look_up_payments import look_up_payments
from payments.messages import AuthorizeAnswers, AuthorizeBatch, LookUpPayments, PaymentsNow, VoidAnswers, VoidBatch
from payments.void_payments import VoidPayments


def routes(database: Database, authorization: AuthorizePayments, voiding: VoidPayments) -> list[HTTPRouteHandler]:
    only_orders = access.services("orders")

    @post(
        "/payments",
        guards=[only_orders],
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        tags=["internal"],
        summary="Authorize the payments of orders",
    )
    async def authorize(data: JSONBody[AuthorizeBatch]) -> AuthorizeAnswers:
        with tracing.together("server", (("authorize payment", item.traceparent) for item in data.items)):
            return AuthorizeAnswers(await authorization.authorize(data.items))

    @post(
        "/payments/void",
        guards=[only_orders],
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        tags=["internal"],
        summary="Void the payments of orders",
    )
    async def void(data: JSONBody[VoidBatch]) -> VoidAnswers:
        with tracing.together("server", (("void payment", item.traceparent) for item in data.items)):
            return VoidAnswers(await voiding.void(data.items))

    @post(
        "/payments/lookup",
        guards=[access.services("notifications")],
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        tags=["internal"],
        summary="Look up what became of the money of orders",
    )
    async def look_up(data: JSONBody[LookUpPayments]) -> PaymentsNow:
        return PaymentsNow(await look_up_payments(database, data.order_ids))

    return [authorize, void, look_up]
