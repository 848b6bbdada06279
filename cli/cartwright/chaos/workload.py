"""What a client does in one turn: buy, in every way in which it can go well or badly, cancel, refund, look.

Nothing is judged here. Only the record is written; the judge reads it when all is over.
"""

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cartwright.chaos.clients import Account, GatewayClient, new_key, until_known
from cartwright.chaos.history import Call

DECLINED_CARD = "pm_card_chargeDeclined"
TROUBLED_CARDS = ("pm_sandbox_timeout", "pm_sandbox_down")
QUANTITY_TOO_LARGE = 1_000_000
RESTOCKED = 200
SMALL_NUMBER = 10
BUYERS_OF_SMALL_NUMBER = 25
RECENT_MAX = 500
# Longer than a replica is ever frozen.
CART_DOUBTFUL_S = 60.0
PUT_ON_SALE_FEW = "put a few on sale"
"""What the judge looks for: of these so many are sold as there were, and not one more."""


@dataclass
class Shop:
    """What the clients share: who they are, what there is, and which purchases went well lately."""

    line: GatewayClient
    accounts: Sequence[Account]
    administrator: Account
    products: Sequence[str]
    hot_product: str
    give_up_at: float = float("inf")
    """When a client that was not answered stops asking, on the monotonic clock."""
    bought: deque[tuple[Account, str]] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    """Confirmed orders that a client may cancel, refund or ship."""

    def give_up(self) -> bool:
        return time.monotonic() > self.give_up_at


class Client:
    """One client: its own draws, its own account. `turn` does one thing."""

    def __init__(self, shop: Shop, account: Account, draw: random.Random) -> None:
        self._shop = shop
        self._account = account
        self._draw = draw
        turns = self._actions()
        self._action_list = [turn for _, turn in turns]
        self._weights = [weight for weight, _ in turns]

    def _actions(self) -> list[tuple[int, Callable[[], Awaitable[object]]]]:
        return [
            (56, self.buy_something),
            (12, self.buy_the_hot_product),
            (6, self.buy_and_ask_again),
            (3, self.use_a_key_for_something_else),
            (3, self.buy_the_cart),
            (3, self.buy_the_cart_twice_at_once),
            (3, self.buy_without_waiting),
            (2, self.buy_without_a_key),
            (3, self.be_declined),
            (2, self.pay_with_trouble),
            (2, self.ask_for_too_many),
            (1, self.expect_another_price),
            (2, self.ask_for_nonsense),
            (5, self.cancel),
            (2, self.cancel_on_the_way),
            (3, self.refund),
            (1, self.ship),
            (2, self.look),
            (1, self.restock),
        ]

    async def turn(self) -> None:
        await self._account.keep_signed_in()
        (turn,) = self._draw.choices(self._action_list, self._weights)
        await turn()

    # --- Purchases

    async def buy_something(self) -> None:
        await self._buy_some()

    async def buy_the_hot_product(self) -> None:
        await self.buy([(self._shop.hot_product, 1)])

    async def buy_and_ask_again(self) -> None:
        key, meant = new_key(), self._some_products()
        await self.buy(meant, key=key)
        await self.buy(meant, key=key)

    async def use_a_key_for_something_else(self) -> None:
        key = new_key()
        await self.buy(self._some_products(), key=key)
        await self.buy([(self._shop.hot_product, 2)], key=key)

    async def buy_without_waiting(self) -> None:
        bought = await self.buy(self._some_products(), prefer="respond-async")
        await self._look_at(bought)

    async def buy_without_a_key(self) -> None:
        """The client must not repeat it: a second request would be a second purchase."""
        await self._purchase({"items": _items(meant := self._some_products())}, meant, None)

    async def be_declined(self) -> None:
        await self.buy(self._some_products(), payment_method=DECLINED_CARD)

    async def pay_with_trouble(self) -> None:
        await self.buy(self._some_products(), payment_method=self._draw.choice(TROUBLED_CARDS))

    async def ask_for_too_many(self) -> None:
        await self.buy([*self._some_products(), (self._shop.hot_product, QUANTITY_TOO_LARGE)])

    async def expect_another_price(self) -> None:
        await self.buy(self._some_products(), expected_total={"amount": "0.01", "currency": "USD"})

    async def ask_for_nonsense(self) -> None:
        product_id = self._draw.choice(self._shop.products)
        nonsense = self._draw.choice([(product_id, 0), (str(uuid.uuid4()), 1), (product_id, -1), (product_id, 2**31)])
        await self.buy([nonsense])

    async def buy_the_cart(self) -> None:
        await self._buy_the_cart(1)

    async def buy_the_cart_twice_at_once(self) -> None:
        """In two tabs, each with a key of its own."""
        await self._buy_the_cart(2)

    async def _buy_the_cart(self, times: int) -> None:
        """Until it is known: a request given up could still take what is put into this cart later."""
        if self._account.cart.locked():
            return
        async with self._account.cart:
            meant, filling = self._some_products(), new_key()
            emptied = await self._change_cart("DELETE", "/cart")
            filled = [
                await self._change_cart("PUT", f"/cart/items/{product}", body={"quantity": quantity})
                for product, quantity in meant
            ]
            if all(200 <= call.status < 300 for call in [emptied, *filled]):
                is_known = time.monotonic() > self._account.cart_is_doubtful_until
                prefer = self._draw.choice((None, "respond-async"))
                await asyncio.gather(
                    *(self._buy_filling(meant if is_known else None, filling, prefer) for _ in range(times))
                )

    async def _buy_filling(self, known: list[tuple[str, int]] | None, filling: str, prefer: str | None) -> Call:
        key = new_key()
        return await self._until_known(
            lambda: self._purchase({"from_cart": True}, known, key, prefer, filling if known is not None else None)
        )

    async def _change_cart(self, method: str, path: str, **more: Any) -> Call:
        async def ask() -> Call:
            call = await self._shop.line.call(self._account, "change the cart", method, path, **more)
            if call.is_unknown:
                self._account.cart_is_doubtful_until = time.monotonic() + CART_DOUBTFUL_S
            return call

        return await self._until_known(ask)

    async def buy(
        self,
        meant: list[tuple[str, int]],
        *,
        key: str | None = None,
        prefer: str | None = None,
        is_stubborn: bool = False,
        **more: Any,
    ) -> Call:
        """A purchase with a key. When no answer comes, most clients ask again; some just go away."""
        key = key or new_key()
        body = {"items": _items(meant), **more}
        bought = await self._purchase(body, meant, key, prefer)
        if bought.is_unknown and not is_stubborn and self._draw.random() < 0.2:
            return bought
        if bought.is_unknown or bought.status == 401 or bought.code == "key_in_progress":
            bought = await self._until_known(lambda: self._purchase(body, meant, key, prefer))
        return bought

    async def _purchase(
        self,
        body: dict[str, Any],
        meant: list[tuple[str, int]] | None,
        key: str | None,
        prefer: str | None = None,
        cart: str | None = None,
    ) -> Call:
        return await self._shop.line.call(
            self._account, "buy", "POST", "/orders", body=body, key=key, meant=meant, prefer=prefer, cart=cart
        )

    async def buy_once(self) -> Call:
        """A purchase that is not asked for again, whatever comes of it."""
        await self._account.keep_signed_in()
        return await self._purchase({"items": _items(meant := self._some_products())}, meant, new_key())

    async def _buy_some(self) -> Call:
        bought = await self.buy(self._some_products())
        if bought.status == 201:
            self._shop.bought.append((self._account, str(bought.decoded()["id"])))
        return bought

    def _some_products(self) -> list[tuple[str, int]]:
        products = self._draw.sample(self._shop.products, self._draw.choice((1, 1, 1, 2, 3)))
        return [(product, self._draw.choice((1, 1, 2))) for product in products]

    # --- What comes after a purchase

    async def cancel(self) -> None:
        order = self._any_bought()
        if order is not None:
            await self._cancel(*order)

    async def cancel_on_the_way(self) -> None:
        bought = await self.buy(self._some_products(), prefer="respond-async")
        if bought.status == 202:
            await self._cancel(self._account, str(bought.decoded()["id"]))

    async def _cancel(self, owner: Account, order_id: str) -> None:
        for _ in range(self._draw.choice((1, 1, 2))):
            await self._ask("cancel", "POST", f"/orders/{order_id}/cancel", by=owner, subject=order_id)

    async def ship(self) -> None:
        order = self._any_bought()
        if order is not None:
            _, id_ = order
            await self._ask("ship", "POST", f"/orders/{id_}/ship", by=self._shop.administrator, subject=id_)

    async def refund(self) -> None:
        """A part, by the administrator. The order may be cancelled later, and gives back the rest then."""
        order = self._any_bought()
        if order is None:
            return
        by, (_, order_id) = self._shop.administrator, order
        found = await self._ask("look up the payment", "GET", f"/payments?order_id={order_id}", by=by)
        items = found.decoded().get("items") or []
        if not items:
            return
        body = {"reason": "chaos", "amount": {"amount": "0.01", "currency": items[0]["amount"]["currency"]}}
        path = f"/payments/{items[0]['id']}/refunds"
        await self._ask("refund", "POST", path, by=by, body=body, key=new_key(), subject=order_id)

    async def look(self) -> None:
        order = self._any_bought()
        if order is not None:
            owner, id_ = order
            await self._shop.line.call(owner, "look", "GET", f"/orders/{id_}", subject=id_)
            await self._shop.line.call(owner, "look closely", "GET", f"/orders/{id_}/details", subject=id_)

    async def restock(self) -> None:
        product = self._shop.hot_product
        await self._ask(
            "restock",
            "POST",
            f"/products/{product}/stock-adjustments",
            by=self._shop.administrator,
            body={"quantity": RESTOCKED, "reason": "restock"},
            key=new_key(),
            subject=product,
        )

    async def _look_at(self, bought: Call) -> None:
        if bought.status == 202:
            id_ = str(bought.decoded()["id"])
            await self._shop.line.call(self._account, "look", "GET", f"/orders/{id_}", subject=id_)

    def _any_bought(self) -> tuple[Account, str] | None:
        return self._draw.choice(self._shop.bought) if self._shop.bought else None

    async def _ask(self, what: str, method: str, path: str, *, by: Account | None = None, **more: Any) -> Call:
        account = by or self._account
        return await self._until_known(lambda: self._shop.line.call(account, what, method, path, **more), by=account)

    async def _until_known(self, ask: Callable[[], Awaitable[Call]], *, by: Account | None = None) -> Call:
        return await until_known(by or self._account, ask, self._shop.give_up, self._draw)


async def sell_a_few(shop: Shop, draw: random.Random) -> None:
    """Fewer units than buyers, who all come at once and do not give up."""
    key, sku = new_key(), f"FEW-{new_key()}"
    put_on_sale = await until_known(
        shop.administrator,
        lambda: shop.line.call(
            shop.administrator,
            PUT_ON_SALE_FEW,
            "POST",
            "/products",
            body=product(sku, SMALL_NUMBER),
            key=key,
            subject=sku,
        ),
        shop.give_up,
        draw,
    )
    if put_on_sale.status != 201:
        return
    wanted = [(str(put_on_sale.decoded()["id"]), 1)]
    buyers = [Client(shop, draw.choice(shop.accounts), draw) for _ in range(BUYERS_OF_SMALL_NUMBER)]
    await asyncio.gather(*(buyer.buy(wanted, is_stubborn=True) for buyer in buyers))


def product(sku: str, stock: int, price: str = "19.99") -> dict[str, Any]:
    """A new product, as the administrator puts it up."""
    return {"sku": sku, "name": f"Chaos {sku}", "price": {"amount": price, "currency": "USD"}, "stock": stock}


def _items(meant: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"product_id": product_id, "quantity": quantity} for product_id, quantity in meant]
