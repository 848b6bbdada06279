"""Compares what clients were answered with what the system holds: promises 1, 2, 10 and 11, which no data alone shows.

The checker reads the history call by call, then every order as its buyer sees it and as it is stored, and then reports
what is wrong. It trusts no source: neither the answers, nor what it reads later.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from cartwright.chaos.history import Call
from cartwright.chaos.workload import PUT_ON_SALE_FEW
from cartwright.verifier.findings import Findings

ANSWERED, CHARGED_ONCE, SOLD_OUT, REFUSED = 1, 2, 10, 11
SAYS = {
    ANSWERED: "every order answered 2xx exists, and reads as it was answered",
    CHARGED_ONCE: "one order per key and per cart, one live payment per order",
    SOLD_OUT: "K units and N > K buyers: K sold, N - K told out of stock",
    REFUSED: "what was answered with a definite 4xx left no effect",
}

# What a first answer of these says holds for the key for ever. The others say nothing about the purchase itself.
_NOT_ABOUT_THE_PURCHASE = {"key_in_progress", "key_used_again", "unauthenticated", "rate_limited", "request_timeout"}
BOUGHT = ("confirmed", "shipped")


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as the database holds it."""

    id: str
    user_id: str
    key: str | None
    correlation_id: str
    status: str
    was_confirmed: bool


@dataclass(frozen=True, slots=True)
class StoredRefund:
    """A refund that an administrator asked for."""

    id: str
    key: str | None
    correlation_id: str
    amount_minor: int


@dataclass(slots=True)
class _Purchase:
    """All that was asked and answered under one key of one buyer; a purchase without a key is one of its own."""

    who: str
    key: str | None
    orders: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    was_confirmed: bool = False
    was_lost: bool = False
    product: str | None = None
    """The one product of which one unit was meant, where that was all."""
    cart: str | None = None
    """Which filling of the buyer's cart it was to buy."""
    kept: list[StoredOrder] = field(default_factory=list)


@dataclass(slots=True)
class _Answered:
    """What buyers were told of an order: digests of what never changes, and the most that it was said to be."""

    who: str
    essence: bytes
    whole: bytes | None = None
    was_confirmed: bool = False
    must_be: str | None = None
    """How it has to end, after a cancellation or a shipping that was answered."""
    seen: bool = False


class Checker:
    """`hear` every call, then `see` every order as its buyer reads it and `meet` what is kept; then `conclude`."""

    def __init__(self) -> None:
        self.findings = {number: Findings(0.0) for number in SAYS}
        self._purchases: dict[tuple[str, str], _Purchase] = {}
        self._by_call: dict[str, _Purchase] = {}
        self._told: dict[str, _Answered] = {}
        self._cancels_asked: set[str] = set()
        self._few: dict[str, int] = {}
        self._refunds: dict[str, tuple[str, int]] = {}
        self._refused_calls: dict[str, str] = {}
        self._confirmed_of: Counter[str] = Counter()
        self._stored_orders = 0

    # --- What clients were told

    def hear(self, call: Call) -> None:
        match call.what:
            case "buy":
                self._add_purchase(call)
            case "cancel":
                self._add_cancellation(call)
            case "ship" | "look":
                self._add_order_answer(call)
            case "look closely":
                self._add_not_found(call)
            case "refund":
                self._add_refund_answer(call)
            case what if what == PUT_ON_SALE_FEW and call.status == 201:
                self._few[str(call.decoded()["id"])] = int(call.asked()["stock"])

    def _add_purchase(self, call: Call) -> None:
        identity = (call.who, call.key or call.id)
        purchase = self._purchases.setdefault(identity, _Purchase(call.who, call.key))
        self._by_call[call.id] = purchase
        purchase.cart = call.cart
        if call.meant is not None and len(call.meant) == 1 and call.meant[0][1] == 1:
            purchase.product = call.meant[0][0]
        if call.is_unknown:
            purchase.was_lost = True
        elif call.is_refused:
            if call.code not in _NOT_ABOUT_THE_PURCHASE:
                purchase.refusals.add(call.code)
            self._refused_calls[call.id] = call.code
        else:
            view = call.decoded()
            purchase.orders.add(str(view["id"]))
            purchase.was_confirmed |= call.status == 201
            if call.meant is not None and _lines_of(view) != sorted(call.meant):
                self._violated(ANSWERED, "an order holds something else than was asked for", view["id"])
            self._add_view(call, view)

    def _add_view(self, call: Call, view: dict[str, Any]) -> None:
        told = self._told.setdefault(str(view["id"]), _Answered(call.who, _essence(view)))
        if told.essence != _essence(view):
            self._violated(ANSWERED, "an order was answered in two ways", view["id"])
        if view.get("total") is not None:
            whole = _whole(view)
            if told.whole not in {None, whole}:
                self._violated(ANSWERED, "an order was answered in two ways", view["id"])
            told.whole = whole
        if view["status"] in BOUGHT:
            told.was_confirmed = True

    def _add_cancellation(self, call: Call) -> None:
        assert call.subject is not None, "a cancellation names its order"
        if not call.is_refused:
            self._cancels_asked.add(call.subject)
        self._add_order_answer(call)
        if call.status in {200, 202} and call.subject in self._told:
            self._told[call.subject].must_be = "cancelled"

    def _add_not_found(self, call: Call) -> None:
        if call.status == 404:
            self._violated(ANSWERED, "an order that was answered was not found", call.subject, call.what)

    def _add_order_answer(self, call: Call) -> None:
        self._add_not_found(call)
        if 200 <= call.status < 300:
            view = call.decoded()
            # An administrator may look at it, too: the buyer is the one who bought.
            self._add_view(call, view)
            if call.what == "ship":
                self._told[str(view["id"])].must_be = "shipped"

    def _add_refund_answer(self, call: Call) -> None:
        if call.status == 201:
            view = call.decoded()
            amount_minor = int(Decimal(view["amount"]["amount"]) * 100)
            before = self._refunds.setdefault(str(view["id"]), (call.key or "", amount_minor))
            if before != (call.key or "", amount_minor):
                self._violated(ANSWERED, "a refund was answered in two ways", view["id"])
        elif call.is_refused:
            self._refused_calls[call.id] = call.code

    # --- What is there

    def see(self, view: dict[str, Any]) -> None:
        """An order as its buyer reads it when all is over."""
        told = self._told.get(str(view["id"]))
        if told is None:
            return
        told.seen = True
        id_, status = view["id"], view["status"]
        if _essence(view) != told.essence or (told.whole is not None and _whole(view) != told.whole):
            self._violated(ANSWERED, "an order reads other than it was answered", id_)
        if told.must_be is not None and status != told.must_be:
            self._violated(ANSWERED, f"an order was answered to be {told.must_be}", id_, f"it is {status}")
        elif told.was_confirmed and status not in BOUGHT and not self._may_be_cancelled(str(id_), status):
            self._violated(ANSWERED, "an order was answered to be confirmed", id_, f"it is {status}")

    def meet(self, order: StoredOrder) -> None:
        """An order as it is kept."""
        self._stored_orders += 1
        purchase = self._by_call.get(order.correlation_id)
        if purchase is None:
            self._violated(REFUSED, "an order is kept that nobody asked for", order.id, order.correlation_id)
            return
        purchase.kept.append(order)
        if (order.user_id, order.key) != (purchase.who, purchase.key):
            self._violated(CHARGED_ONCE, "an order is kept under another buyer or key", order.id)
        if order.status in BOUGHT and purchase.product is not None:
            self._confirmed_of[purchase.product] += 1
        if order.was_confirmed and order.status == "cancelled" and order.id not in self._cancels_asked:
            self._violated(REFUSED, "an order is cancelled and nobody may have asked for it", order.id)
        code = self._refused_calls.get(order.correlation_id)
        if code is not None and order.was_confirmed:
            self._violated(REFUSED, "a refused purchase was confirmed", order.id, code)

    def add_refund(self, refund: StoredRefund) -> None:
        code = self._refused_calls.get(refund.correlation_id)
        if code is not None:
            self._violated(REFUSED, "a refused refund is kept", refund.id, code)
        told = self._refunds.pop(refund.id, None)
        if told is not None and told != (refund.key or "", refund.amount_minor):
            self._violated(ANSWERED, "a refund is kept other than it was answered", refund.id)

    # --- What is wrong

    def conclude(self) -> None:
        """Say what is missing; after everything was seen and met."""
        for id_, told in self._told.items():
            if not told.seen:
                self._violated(ANSWERED, "an order that was answered does not exist", id_)
        for id_ in self._refunds:
            self._violated(ANSWERED, "a refund that was answered does not exist", id_)
        for purchase in self._purchases.values():
            self._check_purchase(purchase)
        self._check_carts()
        self._check_few()
        self.findings[ANSWERED].checked_so_many("orders answered", len(self._told))
        self.findings[CHARGED_ONCE].checked_so_many("purchases asked for", len(self._purchases))
        self.findings[REFUSED].checked_so_many("calls refused", len(self._refused_calls))
        self.findings[REFUSED].checked_so_many("orders kept", self._stored_orders)

    def _check_purchase(self, purchase: _Purchase) -> None:
        kept = {order.id: order for order in purchase.kept}
        named = f"{purchase.who} {purchase.key or 'without a key'}"
        if len(purchase.orders | kept.keys()) > 1:
            ids = " ".join(sorted(purchase.orders | kept.keys()))
            self._violated(CHARGED_ONCE, "one purchase made several orders", named, ids)
        if purchase.refusals and purchase.was_confirmed:
            self._violated(REFUSED, "a purchase was told yes and no", named, ", ".join(sorted(purchase.refusals)))
        for order in kept.values():
            if purchase.refusals and order.was_confirmed and order.id not in self._cancels_asked:
                detail = ", ".join(sorted(purchase.refusals))
                self._violated(REFUSED, "a refused purchase was confirmed", order.id, detail)

    def _check_carts(self) -> None:
        """An order that came to nothing gives the cart back, and the next one may buy it."""
        buyers: defaultdict[str, set[str]] = defaultdict(set)
        for purchase in self._purchases.values():
            if purchase.cart is not None:
                buyers[purchase.cart] |= {order.id for order in purchase.kept if order.was_confirmed}
        for filling, orders in buyers.items():
            if len(orders) > 1:
                self._violated(CHARGED_ONCE, "a cart was bought more than once", filling, " ".join(sorted(orders)))
        self.findings[CHARGED_ONCE].checked_so_many("carts filled", len(buyers))

    def _check_few(self) -> None:
        buyers: defaultdict[str, list[_Purchase]] = defaultdict(list)
        for purchase in self._purchases.values():
            if purchase.product in self._few:
                buyers[purchase.product].append(purchase)
        for product, units in self._few.items():
            asked, sold = buyers[product], self._confirmed_of[product]
            if sold > units:
                self._violated(SOLD_OUT, "more was sold than there was", product, f"{sold} of {units}")
            # Who was never answered may have come too late or not at all.
            elif all(_is_known(purchase) for purchase in asked) and sold != min(units, len(asked)):
                self._violated(SOLD_OUT, "less was sold than could be", product, f"{sold} of {units}")
            told_no = [purchase for purchase in asked if purchase.refusals]
            wrong = {code for purchase in told_no for code in purchase.refusals} - {"out_of_stock"}
            if wrong:
                self._violated(SOLD_OUT, "buyers were told something else than out of stock", product, str(wrong))
        self.findings[SOLD_OUT].checked_so_many("products of which there were few", len(self._few))
        self.findings[SOLD_OUT].checked_so_many("buyers of them", sum(map(len, buyers.values())))

    def _may_be_cancelled(self, order_id: str, status: str) -> bool:
        return status == "cancelled" and order_id in self._cancels_asked

    def _violated(self, promise: int, rule: str, id_: object, detail: str = "") -> None:
        self.findings[promise].violated(rule, id_, detail)


def _is_known(purchase: _Purchase) -> bool:
    return bool(purchase.orders or purchase.refusals)


def _lines_of(view: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((item["product_id"], item["quantity"]) for item in view["items"])


def _essence(view: dict[str, Any]) -> bytes:
    """What an order is from its first moment on."""
    return _digest([view["id"], view["user"], view["created_at"], _lines_of(view)])


def _whole(view: dict[str, Any]) -> bytes:
    """What does not change once it is confirmed: neither its status nor what was refunded."""
    changing = {"status", "reason", "refunded"}
    return _digest({name: value for name, value in view.items() if name not in changing})


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=16).digest()
