"""Purchases over the gateway, from the request to the last trace: what customers and administrators find of them."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cartwright.launcher.api import Answer, Api
from cartwright.testkit.servers import wait_until
from cartwright.testkit.system import SystemUnderTest

WHOLE_CHAIN = {"order.placed", "payment.authorized", "order.confirmed", "payment.captured", "notification.sent"}

Buy = Callable[..., Answer]
NewProduct = Callable[..., str]
StockOf = Callable[[str], int]


@dataclass(frozen=True)
class Purchase:
    """What a customer bought: three of ten lamps."""

    customer: Api
    product: str
    answer: Answer

    @property
    def order(self) -> dict[str, Any]:
        return self.answer.json

    @property
    def path(self) -> str:
        return f"/orders/{self.order['id']}"


@pytest.fixture(scope="module")
def purchase(customer: Api, new_product: NewProduct, buy: Buy) -> Purchase:
    product = new_product(stock=10)
    answer = buy(customer, {product: 3})
    assert answer.status == 201, answer.json
    return Purchase(customer, product, answer)


def details_of(customer: Api, order_id: str) -> dict[str, Any]:
    return customer.get(f"/orders/{order_id}/details").json


def payment_states(customer: Api, order_id: str) -> list[str]:
    return [payment["status"] for payment in customer.get(f"/payments?order_id={order_id}").json["items"]]


def orders_of(stream: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """What the events of an order's stream hold."""
    for line in stream:
        if line.startswith(b"data:"):
            yield json.loads(line.removeprefix(b"data:"))


def test_a_purchase_is_answered_whole_and_reads_so_ever_after(purchase: Purchase) -> None:
    profile = purchase.customer.get("/users/me").json
    order = purchase.order
    assert order["user"] == {"id": profile["id"], "name": "Ada Lovelace", "email": profile["email"]}
    assert order["items"] == [
        {
            "product_id": purchase.product,
            "name": "Lamp",
            "quantity": 3,
            "unit_price": {"amount": "49.99", "currency": "USD"},
            "line_total": {"amount": "149.97", "currency": "USD"},
        }
    ]
    assert (order["status"], order["total"]) == ("confirmed", {"amount": "149.97", "currency": "USD"})
    assert purchase.answer.headers["location"] == f"/api{purchase.path}"
    assert purchase.customer.get(purchase.path).json == order
    assert order in purchase.customer.get("/orders").json["items"]


def test_what_was_bought_is_not_in_stock_any_more(purchase: Purchase, stock_of: StockOf) -> None:
    assert stock_of(purchase.product) == 7


def test_the_details_show_order_products_payment_and_message_in_one_answer(purchase: Purchase) -> None:
    def details() -> dict[str, Any]:
        return details_of(purchase.customer, purchase.order["id"])

    wait_until(lambda: [p["status"] for p in details()["payments"].get("items", [])] == ["captured"], "it is captured")
    wait_until(lambda: [m["status"] for m in details()["messages"].get("items", [])] == ["sent"], "the mail is sent")
    assert details()["order"] == purchase.order
    assert details()["products"]["items"][0]["stock"] == 7
    assert details()["payments"]["items"][0]["amount"] == purchase.order["total"]


def test_the_timeline_tells_what_happened(purchase: Purchase) -> None:
    entries = purchase.customer.get(f"{purchase.path}/timeline").json["items"]
    assert [entry["event"] for entry in entries] == ["order.placed", "order.confirmed"]


def test_the_confirmation_comes_once_by_mail_and_can_be_read(purchase: Purchase, system: SystemUnderTest) -> None:
    mailbox = Api(system.opened().mailbox_url)

    def texts() -> list[str]:
        messages = mailbox.get(f"/messages?to={purchase.order['user']['email']}").json["items"]
        return [message["text"] for message in messages if purchase.order["id"] in message["text"]]

    wait_until(lambda: bool(texts()), "the mail has come")
    (text,) = texts()
    assert "confirmed" in text
    assert "3 x Lamp" in text
    assert "149.97 USD" in text


def test_the_audit_record_holds_the_whole_chain_by_its_correlation_id(purchase: Purchase, administrator: Api) -> None:
    path = f"/audit/events?correlation_id={purchase.answer.correlation_id}"

    def recorded() -> list[str]:
        return [event["type"] for event in administrator.get(path).json["items"]]

    wait_until(lambda: set(recorded()) >= WHOLE_CHAIN, "the whole chain is recorded")
    assert sorted(recorded()) == sorted(WHOLE_CHAIN)
    assert administrator.get("/audit/verify").json["intact"] is True


def test_the_logs_of_all_who_took_part_show_it_by_its_correlation_id(
    purchase: Purchase, system: SystemUnderTest
) -> None:
    def parts() -> set[str]:
        lines = system.run("logs", "--correlation-id", purchase.answer.correlation_id).stdout.splitlines()
        return {json.loads(line)["service"] for line in lines}

    all_parts = {"gateway", "orders", "catalog", "payments", "notifications", "audit"}
    wait_until(lambda: parts() >= all_parts, "all of them logged it")


def test_no_other_customer_sees_the_order(purchase: Purchase, new_customer: Callable[[], Api]) -> None:
    stranger = new_customer()
    never_was = purchase.path[:-4] + "0000"
    for beneath in ("", "/timeline", "/details", "/stream"):
        theirs, nothing = stranger.get(purchase.path + beneath), stranger.get(never_was + beneath)
        assert theirs.status == nothing.status == 404
        assert theirs.json["code"] == nothing.json["code"] == "order_not_found"
        assert theirs.detail == nothing.detail
    assert stranger.post(f"{purchase.path}/cancel").status == 404
    assert stranger.get(f"/payments?order_id={purchase.order['id']}").json["items"] == []


def test_a_cart_is_filled_bought_and_empty_then(customer: Api, new_product: NewProduct, buy: Buy) -> None:
    lamp, shade = new_product(stock=5), new_product(stock=5, price="10.00")
    customer.call("PUT", f"/cart/items/{lamp}", {"quantity": 1})
    cart = customer.call("PUT", f"/cart/items/{shade}", {"quantity": 2}).json
    assert cart["total"] == {"amount": "69.99", "currency": "USD"}
    bought = buy(customer, from_cart=True, expected_total=cart["total"])
    assert bought.status == 201, bought.json
    assert bought.json["total"] == cart["total"]
    assert customer.get("/cart").json["items"] == []


def test_who_does_not_want_to_wait_is_answered_at_once_and_finds_the_end_later(
    customer: Api, new_product: NewProduct
) -> None:
    body = {"items": [{"product_id": new_product(stock=1), "quantity": 1}]}
    answer = customer.post("/orders", body, {"Prefer": "respond-async"})
    assert (answer.status, answer.json["status"]) == (202, "pending")
    path = answer.headers["location"].removeprefix("/api")
    wait_until(lambda: customer.get(path).json["status"] == "confirmed", "it is confirmed")


def test_a_cancelled_order_gives_money_and_stock_back_and_its_stream_tells(
    customer: Api, administrator: Api, new_product: NewProduct, stock_of: StockOf, buy: Buy
) -> None:
    product = new_product(stock=4)
    order_id = buy(customer, {product: 4}).json["id"]
    wait_until(lambda: payment_states(customer, order_id) == ["captured"], "it is captured")

    connection = http.client.HTTPConnection(customer.url.split("/")[2], timeout=30)
    connection.request(
        "GET", f"/api/orders/{order_id}/stream", headers={"Authorization": f"Bearer {customer.access_token}"}
    )
    stream = connection.getresponse()
    assert stream.headers["content-type"].startswith("text/event-stream")
    told = orders_of(stream)
    assert next(told)["status"] == "confirmed"
    first = customer.post(f"/orders/{order_id}/cancel")
    assert next(order for order in told if order["status"] != "cancelling")["status"] == "cancelled"
    connection.close()

    assert first.status in (200, 202)
    wait_until(lambda: payment_states(customer, order_id) == ["refunded"], "the money is back")
    wait_until(lambda: stock_of(product) == 4, "the stock is back")
    again = customer.post(f"/orders/{order_id}/cancel")
    assert (again.status, again.json["status"]) == (200, "cancelled")

    def recorded() -> int:
        return len(administrator.get(f"/audit/events?order_id={order_id}&type=order.cancelled").json["items"])

    wait_until(lambda: recorded() > 0, "it is recorded")
    assert recorded() == 1


def test_what_is_shipped_cannot_be_cancelled(
    customer: Api, administrator: Api, new_product: NewProduct, buy: Buy
) -> None:
    order_id = buy(customer, {new_product(stock=1): 1}).json["id"]
    assert customer.post(f"/orders/{order_id}/ship").status == 403
    assert administrator.post(f"/orders/{order_id}/ship").json["status"] == "shipped"
    refused = customer.post(f"/orders/{order_id}/cancel")
    assert (refused.status, refused.json["code"]) == (409, "order_shipped")
