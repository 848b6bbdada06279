"""What the orders service requests for its orders, and the results it gets back."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from payments.domain.payment import Payment, PaymentState, PendingAction

VOIDED = "voided"
INVALID_AMOUNT = "invalid_amount"
UNKNOWN_PAYMENT_METHOD = "unknown_payment_method"
AMOUNT_MISMATCH = "another_amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """An order to be paid. `payment_method` is a token, the id of a saved method, or None for the default."""

    order_id: UUID
    user_id: UUID
    amount_minor: int | None
    """None when no such amount exists in the currency."""
    currency: str
    payment_method: str | None
    correlation_id: str
    traceparent: str | None


class AuthorizationOutcome(StrEnum):
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    """By the provider."""
    REFUSED = "refused"
    """By payments: the provider received no request, or its approval no longer counts."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResult:
    """The answer to a `PaymentRequest`. `code` is set when the outcome is declined or refused."""

    order_id: UUID
    outcome: AuthorizationOutcome
    payment_id: UUID | None = None
    code: str | None = None

    @staticmethod
    def refused(request: PaymentRequest, code: str) -> "AuthorizationResult":
        """The refusal of a request that has no payment."""
        return AuthorizationResult(order_id=request.order_id, outcome=AuthorizationOutcome.REFUSED, code=code)

    @staticmethod
    def of(request: PaymentRequest, payment: Payment) -> "AuthorizationResult":
        """The result that the state of the order's payment implies."""
        outcome, code = _outcome(request, payment)
        return AuthorizationResult(order_id=request.order_id, outcome=outcome, payment_id=payment.id, code=code)


def _outcome(request: PaymentRequest, payment: Payment) -> tuple[AuthorizationOutcome, str | None]:
    if payment.state is PaymentState.VOIDED or payment.pending_action is PendingAction.VOID:
        return AuthorizationOutcome.REFUSED, VOIDED
    if (payment.amount_minor, payment.currency) != (request.amount_minor, request.currency):
        return AuthorizationOutcome.REFUSED, AMOUNT_MISMATCH
    match payment.state:
        case PaymentState.INTENDED:
            return AuthorizationOutcome.UNKNOWN, None
        case PaymentState.DECLINED:
            return AuthorizationOutcome.DECLINED, payment.code or "declined"
        case PaymentState.AUTHORIZED | PaymentState.CAPTURED:
            return AuthorizationOutcome.AUTHORIZED, None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidRequest:
    """An order whose payment is to be voided."""

    order_id: UUID
    correlation_id: str
    traceparent: str | None


class VoidOutcome(StrEnum):
    VOIDED = "voided"
    """No money is held, and none can be held later."""
    UNKNOWN = "unknown"
    """The provider has not answered; a worker repeats the void."""
    CAPTURED = "captured"
    """The money was captured before. A void does not refund it."""

    @staticmethod
    def of(payment: Payment) -> "VoidOutcome":
        match payment.state:
            case PaymentState.VOIDED | PaymentState.DECLINED:
                return VoidOutcome.VOIDED
            case PaymentState.CAPTURED:
                return VoidOutcome.CAPTURED
            case PaymentState.INTENDED | PaymentState.AUTHORIZED:
                return VoidOutcome.UNKNOWN
