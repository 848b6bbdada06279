"""What the payments service refuses, with stable codes."""

from chassis.problems import Conflict, Invalid, NotFound, Unauthenticated


class PaymentNotFound(NotFound):
    code, title = "payment_not_found", "There is no such payment."


class PaymentMethodNotFound(NotFound):
    code, title = "payment_method_not_found", "There is no such payment method."


class UnknownPaymentMethod(Invalid):
    code, title = "unknown_payment_method", "The provider knows no such payment method."


class TooManyPaymentMethods(Conflict):
    code, title = "too_many_payment_methods", "No more payment methods can be kept; remove one first."


class RefundExceedsPayment(Conflict):
    code, title = "refund_exceeds_payment", "That is more than is left of this payment."


class WrongCurrency(Invalid):
    code, title = "wrong_currency", "The amount is in another currency than the payment."


class InvalidAmount(Invalid):
    code, title = "invalid_amount", "The amount has to be above zero."


class PaymentNotCaptured(Conflict):
    code, title = "payment_not_captured", "Nothing was taken by this payment, so nothing can be given back."


class PaymentNotAuthorized(Conflict):
    code, title = "payment_not_authorized", "Nothing is held by this payment."


class PaymentInUse(Conflict):
    code = "payment_in_use"
    title = "Its order may still be confirmed, and would not be paid: cancel the order instead."


class PaymentCaptured(Conflict):
    code, title = "payment_captured", "The money was taken, or is about to be: refund it instead."


class AccountDeleted(Unauthenticated):
    code, title = "account_deleted", "The account has been deleted."
