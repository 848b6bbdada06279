"""What the orders service refuses, with the codes that clients decide by."""

from chassis.problems import Conflict, Invalid, NotFound, Refusal, Unauthenticated
from orders.domain.order import Order, Reason


class OrderNotFound(NotFound):
    code, title = "order_not_found", "There is no such order."


class OutOfStock(Conflict):
    """Extras: `shortages`, a list of {product_id, requested, available}."""

    code, title = "out_of_stock", "There is not enough in stock."


class PriceChanged(Conflict):
    """Extras: `total`, the total as it would be now."""

    code, title = "price_changed", "The total is not the expected one any more."


class PaymentDeclined(Refusal):
    """Extras: `decline_code`, as the payment provider said it."""

    status, code, title = 402, "payment_declined", "The payment was declined."


class UnknownProduct(Invalid):
    code, title = "unknown_product", "There is no such product."


class MixedCurrencies(Invalid):
    code, title = "mixed_currencies", "The items of an order have to share one currency."


class AnotherCurrency(Invalid):
    code, title = "another_currency", "The expected total is in another currency than the prices."


class TotalTooLarge(Invalid):
    code, title = "total_too_large", "The total is more than can be handled."


class UnknownPaymentMethod(Invalid):
    code, title = "unknown_payment_method", "There is no such payment method."


class RepeatedProduct(Invalid):
    code, title = "repeated_product", "A product stands twice in the items: add up its quantity."


class NothingToBuy(Invalid):
    code, title = "nothing_to_buy", "An order needs either items or a cart with items."


class CartAlreadyBought(Conflict):
    """Extras: `order_id`, the order that has bought the cart."""

    code, title = "cart_already_bought", "What was in the cart has been bought already."


class CartFull(Invalid):
    code, title = "cart_full", "A cart holds at most 100 products."


class OrderAlreadyShipped(Conflict):
    code, title = "order_shipped", "The order has been shipped already."


class OrderNotConfirmed(Conflict):
    code, title = "order_not_confirmed", "Only a confirmed order can be shipped."


class OrderEnded(Conflict):
    code, title = "order_ended", "The order has come to its end: there is nothing to try again."


class OrderRefused(Conflict):
    code, title = "order_refused", "The order was refused; there is nothing to cancel."


class OrderCancelled(Conflict):
    code, title = "order_cancelled", "The order was cancelled."


class UnknownEventId(Invalid):
    code, title = "unknown_event_id", "The Last-Event-ID is of no event that this stream has sent."


class TooManyStreams(Refusal):
    status, code, title = 429, "too_many_streams", "You follow as many orders as one user may."
    retry_after_s = 5


class AccountDeleted(Unauthenticated):
    code, title = "account_deleted", "The account has been deleted."


_BY_REASON: dict[str, type[Refusal]] = {
    refusal.code: refusal
    for refusal in (
        OutOfStock,
        PriceChanged,
        PaymentDeclined,
        UnknownProduct,
        MixedCurrencies,
        AnotherCurrency,
        TotalTooLarge,
        UnknownPaymentMethod,
        AccountDeleted,
    )
}


def refusal_for(reason: Reason, order: Order) -> Refusal:
    """The refusal that tells the buyer why the order came to nothing."""
    return _BY_REASON.get(reason.code, OrderCancelled)(reason.detail, order_id=str(order.id), **reason.extras)
