"""The interface as a whole: every refusal has its code, and no made-up request makes a server error."""

import asyncio
from typing import Any

import schemathesis
from hypothesis import given
from hypothesis import settings as effort
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog

from chassis import problems
from chassis.problems import Refusal, refusal_to_problem
from orders import errors

CODES_OF_CATALOG = {"out_of_stock", "unknown_product", "price_changed", "mixed_currencies", "total_too_large"}


def refusals() -> list[type[Refusal]]:
    return [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Refusal) and thing.__module__ == errors.__name__
    ]


def test_every_refusal_has_a_code_of_its_own_and_is_told_as_a_problem() -> None:
    general = {
        thing.code for thing in vars(problems).values() if isinstance(thing, type) and issubclass(thing, Refusal)
    }
    codes = [refusal.code for refusal in refusals()]
    assert len(set(codes)) == len(codes) > 10
    assert not general & set(codes)
    for refusal in refusals():
        told = refusal_to_problem(refusal())
        assert 400 <= told.status_code < 500
        assert told.title != Refusal.title


def test_every_reason_that_a_step_can_give_has_a_refusal() -> None:
    assert CODES_OF_CATALOG | {"payment_declined", "unknown_payment_method"} <= set(errors._BY_REASON)


async def test_no_made_up_request_makes_a_server_error(buyer: Buyer, catalog: FakeCatalog) -> None:
    catalog.add(1)

    def ask_everything() -> None:
        for found in schemathesis.openapi.from_url(f"{buyer.base_url}/openapi.json").get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @effort(max_examples=15, derandomize=True, deadline=None, database=None)
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(
                    headers={"authorization": f"Bearer {buyer.token}"}, checks=[schemathesis.checks.not_a_server_error]
                )

            ask()

    await asyncio.to_thread(ask_everything)


async def test_the_interface_is_described_with_its_problems_and_tokens(buyer: Buyer) -> None:
    _, described, _ = await buyer.call("GET", "/openapi.json")
    place: dict[str, Any] = described["paths"]["/orders"]["post"]
    assert place["security"]
    assert any(name == "Idempotency-Key".lower() for name in [p["name"].lower() for p in place["parameters"]])
    for_operators = {
        path
        for path, item in described["paths"].items()
        if any(operation.get("x-internal") for operation in item.values())
    }
    assert for_operators >= {"/orders/stuck", "/orders/{order_id}/retry", "/orders/{order_id}/cancel-for-operator"}
    assert set(described["paths"]) - for_operators == {
        "/orders",
        "/orders/{order_id}",
        "/orders/{order_id}/cancel",
        "/orders/{order_id}/ship",
        "/orders/{order_id}/stream",
        "/orders/{order_id}/timeline",
        "/cart",
        "/cart/items/{product_id}",
    }
