"""The amounts of an order as `Money`: the domain holds them as integers in minor units of the order's currency."""

from chassis.values.money import Money, money
from orders.domain.order import Order


def total_of(order: Order) -> Money | None:
    """The total, or None before the stock is reserved."""
    if order.total_minor is None or order.currency is None:
        return None
    return money(order.total_minor, order.currency)


def expected_total_of(order: Order) -> Money | None:
    """The total that the customer expects, or None when the request names none."""
    if order.expected_total_minor is None or order.expected_currency is None:
        return None
    return money(order.expected_total_minor, order.expected_currency)
