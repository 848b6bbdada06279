"""The demo's purchases: one that goes well, and those that cannot, or nearly cannot."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cartwright.demo_story import Story, await_promised, money, promised, promised_status
from cartwright.launcher import api
from cartwright.launcher.api import Api
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.remote_system import RemoteSystem
from cartwright.launcher.system import System

# Of the demo shop; by what a customer would type, and the product that is meant.
WANTED = {"keyboard": "KEYBOARD-MECH", "usb-c hub": "USB-C-HUB"}
STOCK_NEEDED = 5
RESTOCKED = 25

UNFINISHED = ("pending", "cancelling")
CARD_DECLINED = "pm_card_chargeDeclined"
ANSWER_LOST = "pm_sandbox_timeout"


@dataclass(frozen=True)
class Buyer:
    email: str
    password: str


@dataclass(frozen=True)
class Product:
    id: str
    name: str
    stock: int


@dataclass(frozen=True)
class Purchase:
    """A confirmed order: the key and the body that it was asked for with, and how it was answered."""

    key: str
    body: dict[str, Any]
    order: dict[str, Any]
    correlation_id: str

    @property
    def id(self) -> str:
        return str(self.order["id"])


@dataclass(frozen=True)
class Outcome:
    """How a purchase ended. `code` and `detail` say why, where it came to nothing."""

    order: dict[str, Any]
    correlation_id: str
    code: str = ""
    detail: str = ""


def register(story: Story, gateway: Api) -> Buyer:
    story.step("A customer registers.")
    buyer = Buyer(f"ada-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(18))
    account = {"email": buyer.email, "name": "Ada Lovelace", "password": buyer.password}
    answer = story.call(gateway, "POST", "/users", account)
    promised_status(answer, 201)
    story.show(id=answer.json["id"], email=answer.json["email"])
    return buyer


def sign_in(story: Story, gateway: Api, buyer: Buyer) -> Api:
    story.step("She signs in, and gets an access token of 15 minutes.")
    answer = gateway.ask_for_tokens(grant_type="password", username=buyer.email, password=buyer.password)
    story.tell(gateway, "POST", "/auth/token", answer)
    promised_status(answer, 200)
    token = str(answer.json["access_token"])
    story.show(access_token=f"{token[:24]}...", expires_in=f"{answer.json['expires_in']} s")
    return gateway.with_token(token)


def find_products(story: Story, customer: Api) -> list[Product]:
    story.step("She searches the shop.")
    found = []
    for words, sku in WANTED.items():
        answer = story.call(customer, "GET", f"/products?q={words.replace(' ', '+')}")
        promised_status(answer, 200)
        product = next((item for item in answer.json["items"] if item["sku"] == sku), None)
        if product is None:
            raise CannotGoOn(
                f"The shop has no {sku} any more: the demo needs it. A new system has: cartwright up --data"
            )
        story.say(f"{product['name']}, {money(product['price'])}, {product['stock']} in stock")
        found.append(Product(product["id"], product["name"], product["stock"]))
    return found


def restock(story: Story, system: System | RemoteSystem, products: Sequence[Product]) -> None:
    """Sees to it that there is enough for the demo, however often it was shown before."""
    scarce = [product for product in products if product.stock < STOCK_NEEDED]
    if not scarce:
        return
    story.step("That is too little for this demo: the administrator puts more into stock.")
    administrator = api.administrator(system)
    for product in scarce:
        adjustment = {"quantity": RESTOCKED, "reason": "restock"}
        answer = story.call(administrator, "POST", f"/products/{product.id}/stock-adjustments", adjustment)
        promised_status(answer, 201)
        story.say(f"{product.name}: {RESTOCKED} more")


def fill_cart(story: Story, customer: Api, products: Sequence[Product]) -> None:
    story.step("She fills her cart.")
    for product in products:
        answer = story.call(customer, "PUT", f"/cart/items/{product.id}", {"quantity": 1})
        promised_status(answer, 200)
    cart = customer.get("/cart").json
    promised(len(cart["items"]) == len(products), "the cart does not hold what was put into it.")
    story.show_lines(cart["items"])
    story.show(total=money(cart["total"]))


def buy_cart(story: Story, customer: Api) -> Purchase:
    story.step("She buys what is in the cart, with an Idempotency-Key: stock reserved, card charged, order confirmed.")
    key, body = str(uuid.uuid4()), {"from_cart": True}
    outcome = _buy(story, customer, body, key)
    _promised_confirmed(outcome)
    order = outcome.order
    story.show(id=order["id"], status=order["status"], total=money(order["total"]), to=order["user"]["email"])
    promised(customer.get("/cart").json["items"] == [], "the cart still holds what was bought.")
    return Purchase(key, body, order, outcome.correlation_id)


def repeat_purchase(story: Story, customer: Api, purchase: Purchase) -> None:
    story.step("The answer might have been lost on its way, so she sends the same request again.")
    outcome = _buy(story, customer, purchase.body, purchase.key)
    promised(outcome.order == purchase.order, f"another answer: {outcome.order or outcome.detail}")
    promised(len(customer.get("/orders").json["items"]) == 1, "there is a second order.")
    promised(len(customer.get("/payments").json["items"]) == 1, "there is a second payment.")
    story.say("The same answer; she has one order and one payment.")


def ask_for_too_many(story: Story, customer: Api, products: Sequence[Product]) -> None:
    wanted, other = products
    stock = _stock(customer, wanted)
    story.step(f"She asks for a {other.name}, and for more of the {wanted.name} than there is: all or nothing.")
    stock_of_other = _stock(customer, other)
    outcome = _buy(story, customer, _items({other: 1, wanted: stock + 1}))
    promised(outcome.code == "out_of_stock", f"{outcome.code or 'it was bought'} instead of out_of_stock.")
    promised(f"{stock} left" in outcome.detail, f"it does not say that {stock} are left: {outcome.detail}")
    _promised_stock(customer, other, stock_of_other)
    story.say(f"Nothing was taken of the {other.name} either: there are still {stock_of_other}.")


def be_declined(story: Story, customer: Api, products: Sequence[Product]) -> None:
    story.step("She pays with a card that is declined.")
    product = products[0]
    stock = _stock(customer, product)
    outcome = _buy(story, customer, _items({product: 1}) | {"payment_method": CARD_DECLINED})
    promised(outcome.code == "payment_declined", f"{outcome.code or 'it was bought'} instead of payment_declined.")
    _promised_stock(customer, product, stock)
    story.say(f"What was reserved is back: {stock} in stock, as before.")


def lose_answer(story: Story, customer: Api, products: Sequence[Product]) -> None:
    story.step(
        "She pays, but the answer of the payment provider is lost. Has she paid? The system asks until it knows."
    )
    product = products[0]
    outcome = _buy(story, customer, _items({product: 1}) | {"payment_method": ANSWER_LOST})
    _promised_confirmed(outcome)
    payments = customer.get(f"/payments?order_id={outcome.order['id']}").json["items"]
    promised(len(payments) == 1, f"there are {len(payments)} payments for this order.")
    story.show(id=outcome.order["id"], status=outcome.order["status"])
    story.say("Confirmed once, paid once.")


def _buy(story: Story, customer: Api, body: dict[str, Any], key: str | None = None) -> Outcome:
    """Buys, and waits for the end when the answer says that it is still to come."""
    answer = story.call(customer, "POST", "/orders", body, {"Idempotency-Key": key or str(uuid.uuid4())})
    if answer.status != 202:
        promised_status(answer, 201, 402, 409)
        if answer.status == 201:
            return Outcome(answer.json, answer.correlation_id)
        return Outcome({}, answer.correlation_id, answer.json["code"], answer.detail)
    story.say("Accepted, and not at its end yet. She asks again.")
    path = f"/orders/{answer.json['id']}"
    order = await_promised(lambda: _ended(customer.get(path).json), "The end of the order")
    reason = order.get("reason", {"code": "", "detail": ""})
    story.say(f"{order['status']} {reason['detail']}".rstrip())
    return Outcome(order, answer.correlation_id, reason["code"], reason["detail"])


def _ended(order: dict[str, Any]) -> dict[str, Any] | None:
    return None if order.get("status", "pending") in UNFINISHED else order


def _items(quantities: dict[Product, int]) -> dict[str, Any]:
    return {"items": [{"product_id": product.id, "quantity": number} for product, number in quantities.items()]}


def _stock(customer: Api, product: Product) -> int:
    return int(customer.get(f"/products/{product.id}").json["stock"])


def _promised_confirmed(outcome: Outcome) -> None:
    promised(outcome.order.get("status") == "confirmed", f"the order was not confirmed. {outcome.detail}")


def _promised_stock(customer: Api, product: Product, before: int) -> None:
    """A refusal is answered when it is decided; what it gives back may come a moment later."""
    await_promised(
        lambda: True if _stock(customer, product) == before else None,
        f"The stock of the {product.name} as it was before, {before} (does somebody else buy, too?),",
    )
