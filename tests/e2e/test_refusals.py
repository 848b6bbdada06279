"""Purchases that must not be, or not twice: what is told, and that nothing is taken."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from cartwright.launcher.api import Answer, Api
from cartwright.testkit.servers import wait_until

Buy = Callable[..., Answer]
NewProduct = Callable[..., str]
StockOf = Callable[[str], int]


def test_short_stock_is_told_with_what_is_left_and_nothing_is_taken(
    customer: Api, new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    plenty, scarce = new_product(stock=10), new_product(stock=3)
    refused = buy(customer, {plenty: 1, scarce: 4})
    assert (refused.status, refused.json["code"]) == (409, "out_of_stock")
    assert refused.json["shortages"] == [{"product_id": scarce, "requested": 4, "available": 3}]
    assert (stock_of(plenty), stock_of(scarce)) == (10, 3)
    assert customer.get(f"/payments?order_id={refused.json['order_id']}").json["items"] == []


@pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"])
def test_a_declined_card_is_told_and_the_stock_is_back(
    customer: Api, new_product: NewProduct, stock_of: StockOf, buy: Buy, card: str
) -> None:
    product = new_product(stock=2)
    refused = buy(customer, {product: 2}, payment_method=card)
    assert (refused.status, refused.json["code"]) == (402, "payment_declined")
    wait_until(lambda: stock_of(product) == 2, "the stock is back")
    (payment,) = customer.get(f"/payments?order_id={refused.json['order_id']}").json["items"]
    assert payment["status"] == "declined"


@pytest.mark.parametrize("card", ["pm_sandbox_timeout", "pm_sandbox_down"])
def test_an_uncertain_payment_is_asked_about_until_it_is_known_and_made_once(
    customer: Api, new_product: NewProduct, buy: Buy, card: str
) -> None:
    bought = buy(customer, {new_product(stock=1): 1}, payment_method=card)
    assert bought.status == 201, bought.json
    assert len(customer.get(f"/payments?order_id={bought.json['id']}").json["items"]) == 1


def test_a_repeated_request_gets_the_same_answer_and_buys_once(
    customer: Api, new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    product = new_product(stock=5)
    first, again = buy(customer, {product: 1}, key="once"), buy(customer, {product: 1}, key="once")
    assert (again.status, again.json) == (first.status, first.json) == (201, first.json)
    assert stock_of(product) == 4
    other = buy(customer, {product: 2}, key="once")
    assert (other.status, other.json["code"]) == (422, "key_used_again")


def test_the_same_key_of_two_customers_makes_two_orders(
    new_customer: Callable[[], Api], new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    product = new_product(stock=5)
    orders = {buy(new_customer(), {product: 1}, key="shared").json["id"] for _ in range(2)}
    assert len(orders) == 2
    assert stock_of(product) == 3


def test_a_price_that_moved_is_told_before_anything_is_paid(
    customer: Api, administrator: Api, new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    product = new_product(stock=5, price="10.00")
    changed = administrator.call("PATCH", f"/products/{product}", {"price": {"amount": "12.00", "currency": "USD"}})
    assert changed.status == 200, changed.json
    refused = buy(customer, {product: 1}, expected_total={"amount": "10.00", "currency": "USD"})
    assert (refused.status, refused.json["code"]) == (409, "price_changed")
    assert refused.json["total"] == {"amount": "12.00", "currency": "USD"}
    wait_until(lambda: stock_of(product) == 5, "the stock is back")


def test_of_twenty_purchases_at_once_for_five_units_five_succeed_and_the_others_are_told(
    new_customer: Callable[[], Api], new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    product = new_product(stock=5)
    # Four people with many windows: twenty accounts would take longer to make than all else here, for passwords are
    # slow to hash on purpose.
    buyers = [new_customer() for _ in range(4)]
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda buyer: buy(buyer, {product: 1}), buyers * 5))
    assert Counter(answer.json.get("code", answer.status) for answer in answers) == {201: 5, "out_of_stock": 15}
    assert stock_of(product) == 0
    paid = [payment for buyer in buyers for payment in buyer.get("/payments").json["items"]]
    assert sum(Decimal(payment["amount"]["amount"]) for payment in paid) == 5 * Decimal("49.99")
