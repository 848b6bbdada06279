"""The internal API: orders authorizes and voids payments, notifications looks them up; each call is a batch."""

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.problems import Invalid
from chassis.security import access
from chassis.telemetry import tracing
from chassis.values.money import Money, money
from chassis.web.application import INTERNAL_BODY_BYTES_MAX
from payments import store
from payments.authorize_payments import authorize_payments
from payments.clients.provider_client import ProviderClient
from payments.domain.order_requests import (
    AMOUNT_MISMATCH,
    INVALID_AMOUNT,
    UNKNOWN_PAYMENT_METHOD,
    VOIDED,
    AuthorizationOutcome,
    AuthorizationResult,
    PaymentRequest,
    VoidRequest,
)
from payments.domain.payment import Payment, PaymentState
from payments.http import schemas
from payments.http.schemas import (
    AuthorizeAnswers,
    AuthorizeBatch,
    AuthorizeItem,
    LookUpPayments,
    PaymentNow,
    PaymentsNow,
    TakenAmounts,
    VoidAnswer,
    VoidAnswers,
    VoidBatch,
)
from payments.void_payments import void_payments

_DETAILS = {
    "card_declined": "The card was declined.",
    "insufficient_funds": "The card has insufficient funds.",
    UNKNOWN_PAYMENT_METHOD: "There is no such payment method.",
    INVALID_AMOUNT: "The amount cannot be charged.",
    AMOUNT_MISMATCH: "This order has a payment of another amount.",
    VOIDED: "The payment was voided before.",
}


def routes(database: Database, provider: ProviderClient, *, default_token: str) -> list[HTTPRouteHandler]:
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
            requests = [_payment_request(item) for item in data.items]
            results = await authorize_payments(database, provider, requests, default_token=default_token)
            return AuthorizeAnswers([_authorization(result) for result in results])

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
            requests = [
                VoidRequest(order_id=item.order_id, correlation_id=item.correlation_id, traceparent=item.traceparent)
                for item in data.items
            ]
            outcomes = await void_payments(database, provider, requests)
            answers = zip(requests, outcomes, strict=True)
            return VoidAnswers(
                [VoidAnswer(order_id=request.order_id, outcome=outcome.value) for request, outcome in answers]
            )

    @post(
        "/payments/lookup",
        guards=[access.services("notifications")],
        status_code=200,
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        tags=["internal"],
        summary="Look up the payments of orders",
    )
    async def look_up(data: JSONBody[LookUpPayments]) -> PaymentsNow:
        payments = await database.read(lambda connection: store.payments.find_by_orders(connection, data.order_ids))
        return PaymentsNow([payment_now(payment) for payment in payments.values()])

    return [authorize, void, look_up]


def _payment_request(item: AuthorizeItem) -> PaymentRequest:
    return PaymentRequest(
        order_id=item.order_id,
        user_id=item.user_id,
        amount_minor=_amount_minor(item.amount),
        currency=item.amount.currency,
        payment_method=item.payment_method,
        correlation_id=item.correlation_id,
        traceparent=item.traceparent,
    )


def _amount_minor(amount: Money) -> int | None:
    try:
        amount_minor = amount.minor()
    except Invalid:
        return None
    return amount_minor if amount_minor >= 0 else None


def _authorization(result: AuthorizationResult) -> schemas.Authorization:
    match result.outcome:
        case AuthorizationOutcome.UNKNOWN:
            return schemas.NotKnownYet(order_id=result.order_id)
        case AuthorizationOutcome.AUTHORIZED:
            assert result.payment_id is not None
            return schemas.Authorized(order_id=result.order_id, payment_id=result.payment_id)
        case AuthorizationOutcome.DECLINED | AuthorizationOutcome.REFUSED:
            assert result.code is not None
            shape = schemas.Declined if result.outcome is AuthorizationOutcome.DECLINED else schemas.Refused
            return shape(
                order_id=result.order_id,
                payment_id=result.payment_id,
                code=result.code,
                detail=_DETAILS.get(result.code, "The payment was declined."),
            )


def payment_now(payment: Payment) -> PaymentNow:
    """The payment of an order in the answer to notifications, which states its amounts in mails."""
    return PaymentNow(
        order_id=payment.order_id,
        state=payment.state.value,
        taken=_taken_amounts(payment) if payment.state is PaymentState.CAPTURED else None,
    )


def _taken_amounts(payment: Payment) -> TakenAmounts:
    pending_minor = payment.refund_requested_minor - payment.refunded_minor
    return TakenAmounts(
        charged=money(payment.amount_minor, payment.currency),
        refunded=money(payment.refunded_minor, payment.currency),
        refund_pending=money(pending_minor, payment.currency),
    )
