"""The storefront against contracts/: it reads what the others promise, and asks as they expect it."""

from typing import Any

import msgspec
import pytest
from httpx import AsyncClient as Client
from jsonschema import Draft202012Validator

from chassis.problems import Refusal, refusal_to_problem
from storefront import errors
from storefront.clients.catalog import FoundProducts, ProductPage
from storefront.clients.lists_of_order import Items
from storefront.clients.orders import OrderedProducts
from storefront.settings import CONTRACTS

READ_AS = {
    "orders.order": OrderedProducts,
    "catalog.products": ProductPage,
    "catalog.products-lookup": FoundProducts,
    "payments.payments-of-order": Items,
    "notifications.messages-of-order": Items,
}


def contracts_read() -> dict[str, Any]:
    every = {path.stem: msgspec.json.decode(path.read_bytes()) for path in (CONTRACTS / "http").glob("*.json")}
    return {name: contract for name, contract in every.items() if "storefront" in contract["consumers"]}


def test_every_contract_that_names_the_storefront_is_read_here() -> None:
    assert contracts_read().keys() == READ_AS.keys()


@pytest.mark.parametrize("name", READ_AS)
def test_every_promised_answer_can_be_read(name: str) -> None:
    for example in contracts_read()[name]["response"]["examples"]:
        msgspec.convert(example, READ_AS[name])


@pytest.mark.parametrize("name", READ_AS)
def test_a_member_that_is_added_later_is_no_trouble(name: str) -> None:
    for example in contracts_read()[name]["response"]["examples"]:
        items = [item | {"added_later": {"deeply": [1]}} for item in example["items"]]
        msgspec.convert(example | {"items": items, "added_later": 1}, READ_AS[name])


async def test_products_are_looked_up_as_catalog_expects(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    await client.get(f"/orders/{order_id}/details", headers=as_customer)

    body = msgspec.json.decode(peers["catalog"].asked_for("POST /products/lookup")[2])
    Draft202012Validator(contracts_read()["catalog.products-lookup"]["request"]["schema"]).validate(body)
    ordered = peers["orders"].answers[f"GET /orders/{order_id}"]["items"]
    assert body["ids"] == [line["product_id"] for line in ordered]


def test_every_refusal_has_a_code_of_its_own_and_is_told_as_a_problem() -> None:
    refusals = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Refusal) and thing.__module__ == errors.__name__
    ]
    assert len(refusals) == 3
    assert len({refusal.code for refusal in refusals}) == len(refusals)
    for refusal in refusals:
        assert refusal_to_problem(refusal()).extra["code"] == refusal.code  # type: ignore[index]
