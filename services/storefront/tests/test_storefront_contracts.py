"""The storefront conforms to contracts/: it reads the answers, and its requests match the schemas."""

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


def contracts_of_the_storefront() -> dict[str, Any]:
    every = {path.stem: msgspec.json.decode(path.read_bytes()) for path in (CONTRACTS / "http").glob("*.json")}
    return {name: contract for name, contract in every.items() if "storefront" in contract["consumers"]}


def test_each_contract_of_the_storefront_has_a_shape_here() -> None:
    assert contracts_of_the_storefront().keys() == READ_AS.keys()


@pytest.mark.parametrize("name", READ_AS)
def test_each_example_of_an_answer_can_be_read(name: str) -> None:
    for example in contracts_of_the_storefront()[name]["response"]["examples"]:
        msgspec.convert(example, READ_AS[name])


@pytest.mark.parametrize("name", READ_AS)
def test_a_new_member_is_ignored(name: str) -> None:
    for example in contracts_of_the_storefront()[name]["response"]["examples"]:
        items = [item | {"added_later": {"deeply": [1]}} for item in example["items"]]
        msgspec.convert(example | {"items": items, "added_later": 1}, READ_AS[name])


async def test_the_lookup_of_products_conforms_to_its_contract(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    await client.get(f"/orders/{order_id}/details", headers=as_customer)

    body = msgspec.json.decode(peers["catalog"].request_to("POST /products/lookup")[2])
    Draft202012Validator(contracts_of_the_storefront()["catalog.products-lookup"]["request"]["schema"]).validate(body)
    ordered = peers["orders"].answers[f"GET /orders/{order_id}"]["items"]
    assert body["ids"] == [line["product_id"] for line in ordered]


def test_every_refusal_is_a_problem_with_a_unique_code() -> None:
    refusals = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, Refusal) and thing.__module__ == errors.__name__
    ]
    assert len(refusals) == 3
    assert len({refusal.code for refusal in refusals}) == len(refusals)
    for refusal in refusals:
        assert refusal_to_problem(refusal()).extra["code"] == refusal.code  # type: ignore[index]
