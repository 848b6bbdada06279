"""The demo notices when a promise is broken: what it says on a system that keeps them all proves little."""

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from cartwright import demo_story
from cartwright.demo_purchases import Product, Purchase, ask_for_too_many, be_declined, buy_cart, repeat_purchase
from cartwright.demo_story import Story
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.errors import PromiseBroken

LAMP, SHADE = Product("lamp", "Lamp", 7), Product("shade", "Shade", 7)
ORDER = {
    "id": "order",
    "status": "confirmed",
    "total": {"amount": "1.00", "currency": "USD"},
    "user": {"email": "ada@example.com"},
}
PURCHASE = Purchase("key", {"from_cart": True}, ORDER, "correlation")
OUT_OF_STOCK = {"code": "out_of_stock", "detail": "Lamp: 7 left."}
DECLINED = {"code": "payment_declined", "detail": "The card was declined."}


class ScriptedGateway(Api):
    """Answers a path with what the test says: a body with its status, or several of them in turn."""

    def __init__(self, **script: list[tuple[int, Any]]) -> None:
        super().__init__("http://shop/api", "token")
        self._script = {f"/{path.replace('_', '/')}": answers for path, answers in script.items()}

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        answers = self._script[f"/buy{path}" if method == "POST" else path]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return Answer(status, {"x-request-id": "correlation"}, json.dumps(answer).encode())


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr(demo_story, "WAIT_SECONDS_MAX", 0)
    return Story(Console(file=io.StringIO()))


def listed(*items: Any) -> list[tuple[int, Any]]:
    return [(200, {"items": list(items)})]


def test_a_system_that_keeps_its_promises_is_believed(story: Story) -> None:
    stock = [(200, {"stock": 7})]
    repeat_purchase(story, ScriptedGateway(buy_orders=[(201, ORDER)], orders=listed(1), payments=listed(1)), PURCHASE)
    for step, refusal in ((ask_for_too_many, (409, OUT_OF_STOCK)), (be_declined, (402, DECLINED))):
        step(story, ScriptedGateway(buy_orders=[refusal], products_lamp=stock, products_shade=stock), [LAMP, SHADE])


def test_an_order_that_is_accepted_and_ends_later_is_waited_for(story: Story) -> None:
    shop = ScriptedGateway(buy_orders=[(202, {"id": "order"})], orders_order=[(200, ORDER)], cart=listed())
    assert buy_cart(story, shop).order == ORDER


def test_an_order_that_never_ends_is_noticed(story: Story) -> None:
    shop = ScriptedGateway(buy_orders=[(202, {"id": "order"})], orders_order=[(200, {"status": "pending"})])
    with pytest.raises(PromiseBroken, match="end of the order did not come"):
        buy_cart(story, shop)


def test_a_repeated_request_that_is_answered_otherwise_is_noticed(story: Story) -> None:
    shop = ScriptedGateway(buy_orders=[(201, ORDER | {"id": "another"})])
    with pytest.raises(PromiseBroken, match="another answer"):
        repeat_purchase(story, shop, PURCHASE)


@pytest.mark.parametrize(("orders", "payments"), [(2, 1), (1, 2)])
def test_a_repeated_request_that_buys_or_charges_again_is_noticed(story: Story, orders: int, payments: int) -> None:
    shop = ScriptedGateway(buy_orders=[(201, ORDER)], orders=listed(*range(orders)), payments=listed(*range(payments)))
    with pytest.raises(PromiseBroken, match="there is a second"):
        repeat_purchase(story, shop, PURCHASE)


@pytest.mark.parametrize(
    ("answer", "noticed"),
    [
        ((201, ORDER), "it was bought"),
        ((402, DECLINED), "payment_declined instead"),
        ((409, OUT_OF_STOCK | {"detail": "Lamp: 3 left."}), "does not say that 7 are left"),
        ((503, {"detail": "Later."}), "503 instead"),
    ],
)
def test_short_stock_that_is_not_told_as_promised_is_noticed(
    story: Story, answer: tuple[int, Any], noticed: str
) -> None:
    stock = [(200, {"stock": 7})]
    shop = ScriptedGateway(buy_orders=[answer], products_lamp=stock, products_shade=stock)
    with pytest.raises(PromiseBroken, match=noticed):
        ask_for_too_many(story, shop, [LAMP, SHADE])


def test_stock_that_does_not_come_back_is_noticed(story: Story) -> None:
    shop = ScriptedGateway(buy_orders=[(402, DECLINED)], products_lamp=[(200, {"stock": 7}), (200, {"stock": 6})])
    with pytest.raises(PromiseBroken, match="The stock of the Lamp as it was before"):
        be_declined(story, shop, [LAMP, SHADE])
