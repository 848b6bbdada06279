"""What orders calls: authorize and void, a batch at a time."""

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis import access, tracing
from chassis.application import INTERNAL_BODY_BYTES_MAX
from payments.authorize_payments import AuthorizePayments
from payments.messages import AuthorizeAnswers, AuthorizeBatch, VoidAnswers, VoidBatch
from payments.void_payments import VoidPayments


def routes(authorization: AuthorizePayments, voiding: VoidPayments) -> list[HTTPRouteHandler]:
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

    return [authorize, void]
