"""Each write that the gateway lets in names its actor in the audit record, or says here why it makes no event.

The table is held against the OpenAPI documents of the running system: a new write without a row here fails.
"""

import re
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from cartwright.launcher.api import Answer, Api
from cartwright.launcher.layout import LOOPBACK, SERVICES
from cartwright.testkit.system import SystemUnderTest

RECORDED_S_MAX = 30
WRITES = {"post", "put", "patch", "delete"}
Actor = Literal["customer", "administrator", "registered"]
PRIVATE = "it changes what the person alone sees, and is kept by the service alone"


@dataclass
class Shop:
    """Who acts, and what they act on. Each write gets things of its own."""

    gateway: Api
    administrator: Api
    new_customer: Callable[[], Api]
    new_product: Callable[..., str]
    buy: Callable[..., Answer]
    password: str
    customer: Api = field(init=False)

    def __post_init__(self) -> None:
        self.customer = self.new_customer()

    def order(self) -> str:
        answer = self.buy(self.customer, {self.new_product(stock=5): 1})
        assert answer.status == 201, answer.json
        return str(answer.json["id"])

    def captured_payment(self) -> str:
        order, deadline = self.order(), time.monotonic() + RECORDED_S_MAX
        while True:
            (payment,) = self.customer.get(f"/payments?order_id={order}").json["items"]
            if payment["status"] == "captured":
                return str(payment["id"])
            assert time.monotonic() < deadline, payment
            time.sleep(0.1)

    def method(self) -> str:
        answer = self.customer.post("/payment-methods", {"token": "tok_visa", "label": "mine"})
        assert answer.status == 201, answer.json
        return str(answer.json["id"])


@dataclass(frozen=True)
class Write:
    """`act(shop, headers)` makes the request; of its correlation id, audit has the event `type` by `actor`."""

    act: Callable[[Shop, dict[str, str]], Answer]
    type: str
    actor: Actor


@dataclass(frozen=True)
class Silent:
    """It makes no event, for this reason."""

    reason: str


def _register(shop: Shop, headers: dict[str, str]) -> Answer:
    email = f"ada-{secrets.token_hex(6)}@example.com"
    return shop.gateway.post("/users", {"email": email, "name": "Ada", "password": shop.password}, headers)


def _product(shop: Shop, headers: dict[str, str]) -> Answer:
    price = {"amount": "1.00", "currency": "USD"}
    body = {"sku": f"TEST-{secrets.token_hex(6)}", "name": "Lamp", "price": price, "stock": 1}
    return shop.administrator.post("/products", body, headers)


def _roles(shop: Shop, headers: dict[str, str]) -> Answer:
    other = shop.new_customer().get("/users/me").json["id"]
    body = {"roles": ["customer", "admin"]}
    return shop.administrator.call("PUT", f"/users/{other}/roles", body, headers)


def _sign_out(shop: Shop, headers: dict[str, str]) -> Answer:
    email = shop.customer.get("/users/me").json["email"]
    tokens = shop.gateway.ask_for_tokens(grant_type="password", username=email, password=shop.password).json
    return shop.gateway.post("/auth/sign-out", {"refresh_token": tokens["refresh_token"]}, headers)


def _order(shop: Shop, headers: dict[str, str]) -> Answer:
    items = [{"product_id": shop.new_product(stock=1), "quantity": 1}]
    return shop.customer.post("/orders", {"items": items}, headers | {"Idempotency-Key": str(uuid.uuid4())})


def _refund(shop: Shop, headers: dict[str, str]) -> Answer:
    path = f"/payments/{shop.captured_payment()}/refunds"
    return shop.administrator.post(path, {"reason": "a gift"}, headers | {"Idempotency-Key": str(uuid.uuid4())})


def _mail(shop: Shop, headers: dict[str, str]) -> Answer:
    body = {"toaddr": "ada@example.com", "subject": "Hello", "body": "Hello."}
    return shop.administrator.post("/send", body, headers)


TABLE: dict[str, Write | Silent] = {
    "POST /users": Write(_register, "user.registered", "registered"),
    "PATCH /users/me": Write(
        lambda s, h: s.customer.call("PATCH", "/users/me", {"name": "Countess"}, h), "user.updated", "customer"
    ),
    "DELETE /users/me": Write(lambda s, h: s.customer.call("DELETE", "/users/me", None, h), "user.deleted", "customer"),
    "PUT /users/me/preferences": Write(
        lambda s, h: s.customer.call(
            "PUT", "/users/me/preferences", {"order_emails": False, "payment_emails": True}, h
        ),
        "user.updated",
        "customer",
    ),
    "PUT /users/{id}/roles": Write(_roles, "user.roles_changed", "administrator"),
    "POST /auth/token": Silent("a session that begins takes no right away, and is kept by users alone"),
    "POST /auth/sign-out": Write(_sign_out, "user.session_revoked", "customer"),
    "POST /auth/keys/rotate": Silent(
        "answers the next key that waits already; test_signing_keys publishes the first one"
    ),
    "POST /products": Write(_product, "product.created", "administrator"),
    "PATCH /products/{id}": Write(
        lambda s, h: s.administrator.call("PATCH", f"/products/{s.new_product(stock=1)}", {"name": "Lantern"}, h),
        "product.updated",
        "administrator",
    ),
    "DELETE /products/{id}": Write(
        lambda s, h: s.administrator.call("DELETE", f"/products/{s.new_product(stock=1)}", None, h),
        "product.deleted",
        "administrator",
    ),
    "POST /products/{id}/stock-adjustments": Write(
        lambda s, h: s.administrator.post(
            f"/products/{s.new_product(stock=1)}/stock-adjustments", {"quantity": 3, "reason": "counted"}, h
        ),
        "stock.adjusted",
        "administrator",
    ),
    "POST /categories": Silent("a category is a name alone, and the event of its first product tells it"),
    "POST /orders": Write(_order, "order.placed", "customer"),
    "POST /orders/{id}/cancel": Write(
        lambda s, h: s.customer.post(f"/orders/{s.order()}/cancel", None, h), "order.cancelled", "customer"
    ),
    "POST /orders/{id}/ship": Write(
        lambda s, h: s.administrator.post(f"/orders/{s.order()}/ship", None, h), "order.shipped", "administrator"
    ),
    "PUT /cart/items/{id}": Silent(PRIVATE),
    "DELETE /cart/items/{id}": Silent(PRIVATE),
    "DELETE /cart": Silent(PRIVATE),
    "POST /payment-methods": Silent(PRIVATE),
    "DELETE /payment-methods/{id}": Silent(PRIVATE),
    "POST /payments/{id}/capture": Silent(
        "here it is captured already; test_payments_actors captures one that no order does"
    ),
    "POST /payments/{id}/void": Silent("refused while an order counts on it; test_payments_actors voids one"),
    "POST /payments/{id}/refunds": Write(_refund, "payment.refunded", "administrator"),
    "POST /send": Write(_mail, "email.requested", "administrator"),
}


@pytest.fixture
def shop(
    gateway: Api,
    administrator: Api,
    new_customer: Callable[[], Api],
    new_product: Callable[..., str],
    buy: Callable[..., Answer],
    password: str,
) -> Shop:
    return Shop(gateway, administrator, new_customer, new_product, buy, password)


def test_each_write_that_the_gateway_lets_in_has_its_row(system: SystemUnderTest) -> None:
    site = Api(f"http://{LOOPBACK}:{system.port}")
    writes = {
        f"{method.upper()} {re.sub(r'{[^}]+}', '{id}', path)}"
        for service in SERVICES
        for path, item in site.get(f"/docs/openapi/{service}.json").json["paths"].items()
        for method in item
        if method in WRITES
    }
    assert writes == set(TABLE)


@pytest.mark.parametrize("name", [name for name, write in TABLE.items() if isinstance(write, Write)])
def test_a_write_names_its_actor_in_the_record(shop: Shop, name: str) -> None:
    write = TABLE[name]
    assert isinstance(write, Write)
    actors = {
        "customer": f"user:{shop.customer.get('/users/me').json['id']}",
        "administrator": f"operator:{shop.administrator.get('/users/me').json['id']}",
    }
    correlation = str(uuid.uuid4())
    answer = write.act(shop, {"X-Request-Id": correlation})
    assert answer.status < 300, answer.json
    actors["registered"] = f"user:{answer.json.get('id')}"

    event = _recorded(shop.administrator, write.type, correlation, answer)
    assert event["actor"] == actors[write.actor]
    found = shop.administrator.get(f"/audit/events?actor={event['actor']}&type={write.type}&limit=100").json["items"]
    assert event in found


def _recorded(administrator: Api, type_: str, correlation: str, answer: Answer) -> dict[str, Any]:
    """The event of the write: by its own correlation id, or by the order that it is about."""
    deadline = time.monotonic() + RECORDED_S_MAX
    query = f"order_id={answer.json['id']}" if type_.startswith("order.") else f"correlation_id={correlation}"
    while not (events := administrator.get(f"/audit/events?{query}&type={type_}").json["items"]):
        assert time.monotonic() < deadline, f"{type_} is not recorded"
        time.sleep(0.1)
    (event,) = events
    assert isinstance(event, dict)
    return event


def test_the_timeline_and_the_ledger_show_who_did_it(shop: Shop) -> None:
    operator = f"operator:{shop.administrator.get('/users/me').json['id']}"
    customer = f"user:{shop.customer.get('/users/me').json['id']}"
    order = shop.order()
    assert shop.administrator.post(f"/orders/{order}/ship").status == 200
    mine = shop.customer.get(f"/orders/{order}/timeline").json["items"]
    assert [entry["actor"] for entry in mine] == [customer, customer, "operator"]
    theirs = shop.administrator.get(f"/orders/{order}/timeline").json["items"]
    assert theirs[-1]["actor"] == operator

    payment = shop.captured_payment()
    refund = shop.administrator.post(
        f"/payments/{payment}/refunds", {"reason": "a gift"}, {"Idempotency-Key": str(uuid.uuid4())}
    )
    assert (refund.status, refund.json["actor"]) == (201, operator)
    (seen,) = shop.customer.get(f"/payments/{payment}/refunds").json["items"]
    assert seen["actor"] == "operator"
    entries = shop.administrator.get(f"/ledger?payment_id={payment}").json["items"]
    booked = {entry["transaction_id"]: entry["actor"] for entry in entries}
    assert booked == {payment: "service:payments", refund.json["id"]: operator}

    product = shop.new_product(stock=2)
    (line,) = shop.administrator.get(f"/products/{product}/stock-adjustments").json["items"]
    assert line["created_by"] == operator.removeprefix("operator:")
