"""The judge of a chaos run catches each lie that is planted in a record, and finds nothing wrong with an honest one."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from cartwright.chaos.checker import ANSWERED, CHARGED_ONCE, REFUSED, SOLD_OUT, Checker, StoredOrder, StoredRefund
from cartwright.chaos.history import Call
from cartwright.chaos.workload import PUT_ON_SALE_FEW

ADA, BOB = "ada", "bob"
LAMP, FEW = "lamp", "few"


def view(id_: str, product: str = LAMP, status: str = "confirmed", who: str = ADA) -> dict[str, Any]:
    """An order as it is answered."""
    return {
        "id": id_,
        "user": {"id": who},
        "items": [{"product_id": product, "quantity": 1}],
        "total": {"amount": "9.99", "currency": "USD"},
        "status": status,
        "created_at": "2026-01-31T12:00:00Z",
    }


@dataclass
class World:
    """A record, and what is there afterwards. Each purchase is answered as it is kept, unless told otherwise."""

    calls: list[Call] = field(default_factory=list)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[StoredOrder] = field(default_factory=list)
    refunds: list[StoredRefund] = field(default_factory=list)

    def call(self, what: str, status: int, answer: Any = None, **more: Any) -> Call:
        call = Call(
            id=f"call-{len(self.calls)}",
            at_s=0.0,
            took_s=0.0,
            who=more.pop("who", ADA),
            what=what,
            path="",
            status=status,
            answer=msgspec.Raw(msgspec.json.encode(answer)),
            **more,
        )
        self.calls.append(call)
        return call

    def buy(self, status: int, answer: Any = None, key: str | None = "key", product: str = LAMP, **more: Any) -> Call:
        return self.call("buy", status, answer, key=key, meant=[(product, 1)], **more)

    def keep(self, call: Call, id_: str, status: str = "confirmed", *, was_confirmed: bool = True) -> None:
        self.orders.append(StoredOrder(id_, call.who, call.key, call.id, status, was_confirmed))
        assert call.meant is not None
        self.shown[id_] = view(id_, call.meant[0][0], status, call.who)

    def bought(self, id_: str = "order", **more: Any) -> Call:
        call = self.buy(201, view(id_, more.get("product", LAMP), who=more.get("who", ADA)), **more)
        self.keep(call, id_)
        return call

    def refused(self, id_: str = "refused", code: str = "out_of_stock", **more: Any) -> Call:
        call = self.buy(409, {"code": code}, **more)
        self.keep(call, id_, "refused", was_confirmed=False)
        return call

    def few(self, units: int) -> None:
        self.call(PUT_ON_SALE_FEW, 201, {"id": FEW}, body=msgspec.Raw(msgspec.json.encode({"stock": units})))

    def broken(self) -> dict[int, list[str]]:
        """The rules that were broken, by promise."""
        judge = Checker()
        for call in self.calls:
            judge.hear(call)
        for shown in self.shown.values():
            judge.see(shown)
        for order in self.orders:
            judge.meet(order)
        for refund in self.refunds:
            judge.add_refund(refund)
        judge.conclude()
        return {
            number: [violation.rule for violation in findings.violations.values()]
            for number, findings in judge.findings.items()
            if findings.violations
        }


@pytest.fixture
def world() -> World:
    """An honest one, with one of everything that can happen."""
    world = World()
    world.bought("once", key="once")
    lost = world.buy(0, key="lost")
    again = world.buy(201, view("lost"), key="lost")
    world.keep(replace_id(again, lost.id), "lost")
    world.buy(0, key="never arrived")
    world.keep(world.buy(504, {"code": "outcome_unknown"}, key="late"), "late")
    world.refused("refused", key="refused")
    world.buy(422, {"code": "invalid"}, key="nonsense")
    world.bought("no key", key=None)
    world.buy(422, {"code": "key_used_again"}, key="once", product="other")
    cancelled = world.bought("cancelled", key="cancelled")
    world.call("cancel", 200, view("cancelled", status="cancelled"), subject="cancelled")
    world.orders[-1] = StoredOrder("cancelled", ADA, "cancelled", cancelled.id, "cancelled", True)
    world.shown["cancelled"]["status"] = "cancelled"
    pending = world.buy(202, view("pending", status="pending") | {"total": None}, key="pending")
    world.keep(pending, "pending")
    refund = world.call("refund", 201, {"id": "refund", "amount": {"amount": "0.01"}}, key="r", subject="once")
    world.refunds.append(StoredRefund("refund", "r", refund.id, 1))
    world.bought("of a cart", key="first tab", cart="filling")
    world.buy(409, {"code": "cart_already_bought"}, key="second tab", cart="filling")
    world.few(2)
    for number in range(2):
        world.bought(f"few {number}", key=f"few {number}", product=FEW)
    for number in range(2, 5):
        world.refused(f"few {number}", key=f"few {number}", product=FEW)
    return world


def replace_id(call: Call, id_: str) -> Call:
    return msgspec.structs.replace(call, id=id_)


def order_of(world: World, id_: str) -> int:
    return next(index for index, order in enumerate(world.orders) if order.id == id_)


def change(world: World, id_: str, **changes: Any) -> None:
    index = order_of(world, id_)
    world.orders[index] = replace(world.orders[index], **changes)
    if "status" in changes:
        world.shown[id_]["status"] = changes["status"]


def missing(world: World) -> None:
    del world.orders[order_of(world, "once")], world.shown["once"]


def another_total(world: World) -> None:
    world.shown["once"]["total"] = {"amount": "0.99", "currency": "USD"}


def another_product(world: World) -> None:
    world.shown["once"]["items"][0]["product_id"] = "other"


def answered_in_two_ways(world: World) -> None:
    world.call("look", 200, view("once") | {"created_at": "2026-01-31T12:00:01Z"}, subject="once")


def other_than_asked_for(world: World) -> None:
    call = world.buy(201, view("swapped", "other"), key="swapped")
    world.keep(call, "swapped")
    world.shown["swapped"]["items"][0]["product_id"] = "other"


def refused_after_all(world: World) -> None:
    change(world, "once", status="refused", was_confirmed=False)


def not_found(world: World) -> None:
    world.call("look", 404, {"code": "order_not_found"}, subject="once")


def cancellation_forgotten(world: World) -> None:
    change(world, "cancelled", status="confirmed")


def refund_missing(world: World) -> None:
    world.refunds.clear()


def cart_bought_twice(world: World) -> None:
    for key in ("a tab", "another tab"):
        world.bought(f"of {key}", key=key, cart="one filling")


def two_orders_of_one_key(world: World) -> None:
    call = world.buy(201, view("twice"), key="once")
    world.keep(call, "twice")


def two_orders_of_one_key_where_one_was_never_told(world: World) -> None:
    world.keep(world.buy(0, key="once"), "twice")


def one_call_without_a_key_makes_two_orders(world: World) -> None:
    world.keep(next(call for call in world.calls if call.what == "buy" and call.key is None), "twice")


def kept_under_another_buyer(world: World) -> None:
    change(world, "once", user_id=BOB)


def a_refusal_had_an_effect(world: World) -> None:
    change(world, "refused", status="confirmed", was_confirmed=True)


def a_nonsense_had_an_effect(world: World) -> None:
    world.keep(next(call for call in world.calls if call.key == "nonsense"), "nonsense")


def told_yes_and_no(world: World) -> None:
    world.buy(402, {"code": "payment_declined"}, key="once")


def unrequested(world: World) -> None:
    world.orders.append(StoredOrder("ghost", ADA, "ghost", "call of no client", "confirmed", True))


def cancelled_by_itself(world: World) -> None:
    change(world, "late", status="cancelled")


def a_refused_refund_is_kept(world: World) -> None:
    call = world.call("refund", 409, {"code": "payment_not_captured"}, key="no", subject="once")
    world.refunds.append(StoredRefund("no", "no", call.id, 1))


def one_more_than_there_was(world: World) -> None:
    world.bought("one more", key="one more", product=FEW)


def one_less_than_there_was(world: World) -> None:
    change(world, "few 1", status="refused", was_confirmed=False)
    index = next(index for index, call in enumerate(world.calls) if call.key == "few 1")
    refusal = msgspec.Raw(b'{"code": "out_of_stock"}')
    world.calls[index] = msgspec.structs.replace(world.calls[index], status=409, answer=refusal)


def told_something_else_than_out_of_stock(world: World) -> None:
    index = next(index for index, call in enumerate(world.calls) if call.key == "few 4")
    refusal = msgspec.Raw(b'{"code": "price_changed"}')
    world.calls[index] = msgspec.structs.replace(world.calls[index], answer=refusal)


LIES: dict[Callable[[World], None], set[int]] = {
    missing: {ANSWERED},
    another_total: {ANSWERED},
    another_product: {ANSWERED},
    answered_in_two_ways: {ANSWERED},
    other_than_asked_for: {ANSWERED},
    refused_after_all: {ANSWERED},
    not_found: {ANSWERED},
    cancellation_forgotten: {ANSWERED},
    refund_missing: {ANSWERED},
    cart_bought_twice: {CHARGED_ONCE},
    two_orders_of_one_key: {CHARGED_ONCE},
    two_orders_of_one_key_where_one_was_never_told: {CHARGED_ONCE},
    one_call_without_a_key_makes_two_orders: {CHARGED_ONCE},
    kept_under_another_buyer: {CHARGED_ONCE},
    a_refusal_had_an_effect: {REFUSED},
    a_nonsense_had_an_effect: {REFUSED},
    told_yes_and_no: {REFUSED},
    unrequested: {REFUSED},
    cancelled_by_itself: {REFUSED},
    a_refused_refund_is_kept: {REFUSED},
    one_more_than_there_was: {SOLD_OUT},
    one_less_than_there_was: {SOLD_OUT},
    told_something_else_than_out_of_stock: {SOLD_OUT},
}


def test_an_honest_record_breaks_no_promise(world: World) -> None:
    assert world.broken() == {}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_lie_is_caught_under_the_promise_that_it_breaks(world: World, lie: Callable[[World], None]) -> None:
    lie(world)
    broken = world.broken()
    assert set(broken) == LIES[lie], broken


def test_who_was_never_answered_may_have_bought_or_not(world: World) -> None:
    world.buy(0, key="few 9", product=FEW)
    one_less_than_there_was(world)
    assert world.broken() == {}
