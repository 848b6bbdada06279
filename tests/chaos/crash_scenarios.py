"""What clients do while services crash, what they were answered in the end, and whether that is true.

A client repeats its request, with the same key, until it gets a definite answer. Whatever died meanwhile, the answer is
the one that it would have got anyway.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

REPEAT_S = 0.1
PENDING_S = 0.8
AT_ONCE = 8
PRICE = {"amount": "19.99", "currency": "USD"}


@dataclass(frozen=True)
class Answered:
    status: int
    json: dict[str, Any]


@dataclass(frozen=True)
class Client:
    """A customer who is signed in, and repeats a request until it has an answer."""

    gateway: str
    http: aiohttp.ClientSession
    token: str

    async def get(self, path: str) -> dict[str, Any]:
        return (await self.ask("GET", path)).json

    async def post(self, path: str, body: Any = None, **headers: str) -> Answered:
        """With a key of its own, until the answer is definite; 202 is, where that was asked for."""
        return await self.ask("POST", path, body, {"Idempotency-Key": secrets.token_hex(16), **headers})

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answered:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        while True:
            try:
                async with self.http.request(
                    method, f"{self.gateway}{path}", json=body, headers=sent, timeout=aiohttp.ClientTimeout(total=10)
                ) as answer:
                    told = Answered(answer.status, await answer.json() if answer.content_type.endswith("json") else {})
            except (aiohttp.ClientError, TimeoutError):
                pass
            else:
                assert told.status != 500, f"{method} {path}: a bug was met: {told.json}"
                if _is_definite(told, "Prefer" in sent):
                    return told
            await asyncio.sleep(REPEAT_S)


def _is_definite(told: Answered, accepts_later: bool) -> bool:
    if told.status == 202:
        return accepts_later
    return told.status < 500 and told.json.get("code") != "key_in_progress"


@dataclass(frozen=True)
class Truth:
    """What clients were told of an order: how it ended, and what was given back of it."""

    order_id: str
    status: str
    reason: str | None = None
    refunded: str | None = None


@dataclass
class Shop:
    """A buyer with cards of several kinds, the administrator, two products, and all that the buyer was told."""

    buyer: Client
    administrator: Client
    plenty: str
    """A product that does not run out."""
    scarce: str
    """One of which there is one."""
    cards: Mapping[str, str]
    cart: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The buyer has one cart, and scenarios are run side by side."""
    confirmed: list[str] = field(default_factory=list)
    """Orders of the buyer that are confirmed and paid, for scenarios that begin there."""
    told: dict[str, Truth] = field(default_factory=dict)

    async def buy(self, product: str, quantity: int, card: str, **headers: str) -> Answered:
        body = {"items": [{"product_id": product, "quantity": quantity}], "payment_method": self.cards[card]}
        return await self.buyer.post("/orders", body, **headers)

    async def confirm_some(self, count: int) -> None:
        """Buy so much that `count` scenarios can begin with an order of their own."""
        for _ in range(0, count, AT_ONCE):
            told = await asyncio.gather(*(self.buy(self.plenty, 1, "good") for _ in range(AT_ONCE)))
            for answer in told:
                assert answer.status == 201, answer
                self.confirmed.append(answer.json["id"])
                self.told[answer.json["id"]] = Truth(answer.json["id"], "confirmed", refunded="0.00")


Scenario = Callable[[Shop], Awaitable[Truth]]


async def purchase(shop: Shop) -> Truth:
    told = await shop.buy(shop.plenty, 2, "good")
    assert (told.status, told.json.get("status")) == (201, "confirmed"), told
    assert told.json["total"] == {"amount": "39.98", "currency": "USD"}, told
    return Truth(told.json["id"], "confirmed", refunded="0.00")


async def purchase_of_cart(shop: Shop) -> Truth:
    """And again in another tab: the cart is bought once, whatever dies between the two."""
    async with shop.cart:
        await shop.buyer.ask("PUT", f"/cart/items/{shop.plenty}", {"quantity": 2})
        body = {"from_cart": True, "payment_method": shop.cards["good"]}
        told, again = [await shop.buyer.post("/orders", body) for _ in range(2)]
    assert (told.status, told.json.get("status")) == (201, "confirmed"), told
    assert told.json["total"] == {"amount": "39.98", "currency": "USD"}, told
    assert (again.status, again.json.get("order_id")) == (409, told.json["id"]), again
    return Truth(told.json["id"], "confirmed", refunded="0.00")


async def short_stock(shop: Shop) -> Truth:
    told = await shop.buy(shop.scarce, 2, "good")
    assert (told.status, told.json.get("code")) == (409, "out_of_stock"), told
    return Truth(told.json["order_id"], "refused", "out_of_stock")


async def declined_card(shop: Shop) -> Truth:
    told = await shop.buy(shop.plenty, 1, "declined")
    assert (told.status, told.json.get("code")) == (402, "payment_declined"), told
    return Truth(told.json["order_id"], "refused", "payment_declined")


async def cancel_when_confirmed(shop: Shop) -> Truth:
    order_id = shop.confirmed.pop()
    told = await shop.buyer.post(f"/orders/{order_id}/cancel")
    assert (told.status, told.json.get("status")) == (200, "cancelled"), told
    return Truth(order_id, "cancelled", "cancelled_by_customer", refunded="19.99")


async def cancel_while_pending(shop: Shop) -> Truth:
    placed = await shop.buy(shop.plenty, 1, "failing", Prefer="respond-async")
    assert placed.status == 202, placed
    order_id = placed.json["id"]
    while not (await shop.buyer.get(f"/payments?order_id={order_id}"))["items"]:
        await asyncio.sleep(REPEAT_S)
    # By now the provider has failed, and the order was deferred and taken again; the fourth attempt would succeed.
    await asyncio.sleep(PENDING_S)
    told = await shop.buyer.post(f"/orders/{order_id}/cancel")
    assert (told.status, told.json.get("status")) == (200, "cancelled"), told
    return Truth(order_id, "cancelled", "cancelled_by_customer")


async def refund(shop: Shop) -> Truth:
    order_id = shop.confirmed.pop()
    (payment,) = (await shop.buyer.get(f"/payments?order_id={order_id}"))["items"]
    part = {"amount": "4.00", "currency": "USD"}
    told = await shop.administrator.post(f"/payments/{payment['id']}/refunds", {"amount": part, "reason": "a scratch"})
    assert (told.status, told.json.get("amount")) == (201, part), told
    return Truth(order_id, "confirmed", refunded="4.00")


SCENARIOS: Mapping[str, Scenario] = {
    scenario.__name__: scenario
    # Those with the longest way first: they take longest.
    for scenario in (
        cancel_while_pending,
        purchase,
        purchase_of_cart,
        declined_card,
        cancel_when_confirmed,
        short_stock,
        refund,
    )
}
FROM_CONFIRMED = frozenset({cancel_when_confirmed, refund})
"""Those that begin with an order that is confirmed and paid."""


async def find_lies(shop: Shop) -> list[str]:
    """The answers that differ from the orders, and orders without an answer."""
    lies = []
    orders = {order["id"]: order for order in await _all_orders(shop.buyer)}
    for truth in shop.told.values():
        order = orders.pop(truth.order_id, None)
        if order is None:
            lies.append(f"{truth} is missing")
            continue
        payments = (await shop.buyer.get(f"/payments?order_id={truth.order_id}"))["items"]
        refunded = [payment["refunded"]["amount"] for payment in payments if payment["captured_at"]]
        is_so = Truth(order["id"], order["status"], order.get("reason", {}).get("code"), truth.refunded)
        if is_so != truth or (truth.refunded is not None and refunded != [truth.refunded]):
            lies.append(f"{truth}, and reads {is_so}, refunded {refunded}")
    lies += [f"no answer mentions order {order_id}, {order['status']}" for order_id, order in orders.items()]
    return lies


async def _all_orders(buyer: Client) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = []
    # Refused ones are listed only when asked for.
    for status in ("pending", "cancelling", "confirmed", "cancelled", "refused"):
        cursor = ""
        while True:
            page = await buyer.get(f"/orders?limit=100&status={status}{cursor}")
            orders += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    return orders


async def open_shop(buyer: Client, administrator: Client) -> Shop:
    """Cards of a new buyer, and products that no other test buys."""
    cards = {
        "good": "pm_card_visa",
        "declined": "pm_card_chargeDeclined",
        "failing": "pm_sandbox_down",
    }
    methods = {
        kind: (await buyer.post("/payment-methods", {"token": token})).json["id"] for kind, token in cards.items()
    }
    return Shop(buyer, administrator, await _product(administrator, 100_000), await _product(administrator, 1), methods)


async def _product(administrator: Client, stock: int) -> str:
    body = {"sku": f"CRASH-{secrets.token_hex(6)}", "name": "Lamp", "price": PRICE, "stock": stock}
    told = await administrator.post("/products", body)
    assert told.status == 201, told
    return str(told.json["id"])
