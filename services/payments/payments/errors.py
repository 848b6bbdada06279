"""The refusals of the payments service, with stable codes."""

from chassis.problems import Conflict, Invalid, NotFound, Unauthenticated


class PaymentNotFound(NotFound):
    code, title = "payment_not_found", "There is no such payment."


class PaymentMethodNotFound(NotFound):
    code, title = "payment_method_not_found", "There is no such payment method."


class UnknownPaymentMethod(Invalid):
    code, title = "unknown_payment_method", "The provider does not know this payment method."


class TooManyPaymentMethods(Conflict):
    code, title = "too_many_payment_methods", "No more payment methods can be saved; remove one first."


class RefundExceedsPayment(Conflict):
    code, title = "refund_exceeds_payment", "The amount exceeds what can still be refunded of this payment."


class WrongCurrency(Invalid):
    code, title = "wrong_currency", "The amount is in another currency than the payment."


class InvalidAmount(Invalid):
    code, title = "invalid_amount", "The amount must be positive."


class PaymentNotCaptured(Conflict):
    code, title = "payment_not_captured", "The payment was not captured, so it cannot be refunded."


class PaymentNotAuthorized(Conflict):
    code, title = "payment_not_authorized", "The payment holds no money."


class PaymentInUse(Conflict):
    code = "payment_in_use"
    title = "The order of this payment may still be confirmed: cancel the order instead."


class PaymentCaptured(Conflict):
    code, title = "payment_captured", "The payment was captured, or is about to be: refund it instead."


class AccountDeleted(Unauthenticated):
    code, title = "account_deleted", "The account has been deleted."
