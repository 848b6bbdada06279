"""Bad input gets a clear problem, never a 5xx, and leaves no effect."""

from typing import Any

import pytest
from services.catalog.tests.conftest import Service
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.asyncio(loop_scope="module")
PRICE = {"amount": "10.00", "currency": "USD"}


def new_product(**changes: Any) -> dict[str, Any]:
    return {"sku": f"S-{uuid7()}", "name": "Lamp", "price": PRICE, **changes}


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    "changes",
    [
        {"sku": ""},
        {"sku": "with blank"},
        {"sku": "LAMP\n"},
        {"price": {"amount": "10.00", "currency": "USD\n"}},
        {"sku": "x" * 65},
        {"sku": 7},
        {"sku": None},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 201},
        {"name": "U+0000 \x00"},
        {"name": "Lamp\n  Total: 0.00 USD"},
        {"name": "Lamp\u2028Total"},
        {"name": "Lamp\u202egnp.exe"},
        {"name": "Lamp\u2066"},
        {"name": "\u200b\u3164"},
        {"name": "Lamp\U000e0041"},
        {"description": "Two lines\nwith an override \u202e"},
        {"description": "Escape \x1b[2J"},
        {"category": "Lamps\u202e"},
        {"description": "x" * 10_001},
        {"description": None},
        {"category": "Nowhere"},
        {"category": ""},
        {"price": None},
        {"price": 10},
        {"price": "10.00"},
        {"price": {"amount": 10, "currency": "USD"}},
        {"price": {"amount": "0", "currency": "USD"}},
        {"price": {"amount": "-1.00", "currency": "USD"}},
        {"price": {"amount": "1.001", "currency": "USD"}},
        {"price": {"amount": "1.5", "currency": "JPY"}},
        {"price": {"amount": "1e3", "currency": "USD"}},
        {"price": {"amount": "NaN", "currency": "USD"}},
        {"price": {"amount": "9999999999999999.00", "currency": "USD"}},
        {"price": {"amount": "1.00", "currency": "usd"}},
        {"price": {"amount": "1.00", "currency": "ABC"}},
        {"price": {"amount": "1.00", "currency": "XAU"}},
        {"price": {"amount": "1.00", "currency": "XXX"}},
        {"price": {"amount": "1.5", "currency": "UGX"}},
        {"price": {"amount": "1.0001", "currency": "IQD"}},
        {"price": {"amount": "1.00"}},
        {"price": {"amount": "1.00", "currency": "USD", "tax": "0"}},
        {"stock": -1},
        {"stock": 1.5},
        {"stock": "5"},
        {"stock": True},
        {"stock": 2**31},
        {"stock": 2**64},
        {"attributes": []},
        {"attributes": None},
        {"attributes": deep(6)},
        {"attributes": {"long": "x" * 8_200}},
        {"attributes": {"large": 2**53}},
        {"attributes": {"large": 10**30}},
        {"attributes": {"large": 1e300}},
        {"attributes": {"null": "\x00"}},
        {"attributes": {"\x00": "null"}},
        {"version": 7},
        {"id": str(uuid7())},
    ],
)
async def test_a_product_with_unacceptable_values_is_refused_and_changes_nothing(
    service: Service, changes: dict[str, Any]
) -> None:
    refused = await service.call("POST", "/products", by="admin", json=new_product(**changes))
    assert refused.status_code == 422, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    if changes.keys() & {"stock"}:
        return
    product = await service.product()
    path = f"/products/{product['id']}"
    refused = await service.call("PATCH", path, by="admin", json=changes)
    assert refused.status_code == 422, refused.text
    assert (await service.client.get(path)).json() == product


@pytest.mark.parametrize(
    "body",
    [
        {"quantity": 0, "reason": "restock"},
        {"quantity": 1.5, "reason": "restock"},
        {"quantity": 1e308, "reason": "restock"},
        {"quantity": True, "reason": "restock"},
        {"quantity": "2", "reason": "restock"},
        {"quantity": None, "reason": "restock"},
        {"quantity": 2**31, "reason": "restock"},
        {"quantity": -(2**64), "reason": "restock"},
        {"reason": "restock"},
        {"quantity": 1},
        {"quantity": 1, "reason": ""},
        {"quantity": 1, "reason": " "},
        {"quantity": 1, "reason": "\x00"},
        {"quantity": 1, "reason": "x" * 201},
        {"quantity": 1, "reason": "restock\r\n1000 more"},
        {"quantity": 1, "reason": "\u202e"},
        {"quantity": 1, "reason": "restock", "available": 9},
        [],
    ],
)
async def test_an_unacceptable_adjustment_is_refused_and_changes_nothing(service: Service, body: Any) -> None:
    product = await service.product(stock=5)
    refused = await service.call("POST", f"/products/{product['id']}/stock-adjustments", by="admin", json=body)
    assert refused.status_code == 422, refused.text
    assert await service.stock_of(product["id"]) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "a", "name": "b"}',
        b'{"name": "\xff"}',
        b"[" * 33 + b"]" * 33,
        b'{"name": "a"} x',
    ],
)
async def test_a_body_that_is_no_json_is_malformed(service: Service, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    refused = await service.call("POST", "/categories", by="admin", content=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")


async def test_a_body_of_another_type_or_size_or_method_is_refused(service: Service) -> None:
    headers = {"content-type": "text/plain"}
    other = await service.call("POST", "/categories", by="admin", content=b'{"name": "a"}', headers=headers)
    assert (other.status_code, other.json()["code"]) == (415, "unsupported_type")
    large = await service.call("POST", "/categories", by="admin", json={"name": "x" * 70_000})
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    method = await service.call("PUT", "/categories", by="admin", json={})
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/products/seven", "/products/00000000-0000-0000-0000-00000000000g"])
async def test_a_malformed_id_is_not_found(service: Service, path: str) -> None:
    assert (await service.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"order_id": "seven", "lines": []},
        {"order_id": str(uuid7()), "lines": [{"product_id": str(uuid7()), "quantity": 1.5}]},
        {"order_id": str(uuid7()), "lines": [{"product_id": "seven", "quantity": 1}]},
        {"order_id": str(uuid7()), "lines": None},
        [],
        None,
    ],
)
async def test_a_reservation_of_another_form_is_refused(service: Service, item: Any) -> None:
    refused = await service.call("POST", "/reservations", by="orders", json={"items": [item]})
    assert refused.status_code == 422


async def test_a_batch_has_at_most_256_orders(service: Service) -> None:
    product = await service.product(stock=300)
    items = [{"order_id": str(uuid7()), "lines": [{"product_id": product["id"], "quantity": 1}]} for _ in range(257)]
    assert (await service.call("POST", "/reservations", by="orders", json={"items": items})).status_code == 422
    answer = await service.call("POST", "/reservations", by="orders", json={"items": items[:256]})
    assert {item["outcome"] for item in answer.json()["items"]} == {"reserved"}
    assert await service.stock_of(product["id"]) == 44
    assert (await service.call("POST", "/reservations", by="orders", json={"items": []})).json() == {"items": []}


async def test_every_operation_refuses_a_query_parameter_that_it_does_not_declare(service: Service) -> None:
    checked = 0
    for path, item in (await service.client.get("/openapi.json")).json()["paths"].items():
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            address = path.format(product_id=uuid7(), event_id=uuid7())
            for by in ("admin", "orders"):
                answer = await service.call(method.upper(), f"{address}?unknown=1", by=by, json={})
                if answer.status_code == 403:
                    continue
                assert (answer.status_code, answer.json().get("parameter")) == (422, "unknown"), (method, path)
                checked += 1
    assert checked > 12


async def test_names_and_descriptions_are_kept_in_nfc_and_refused_with_one_code(service: Service) -> None:
    made = await service.call(
        "POST", "/products", by="admin", json=new_product(name=" Cafe\u0301 👩🏽\u200d🔬 ", description="Zoe\u0308\r\n")
    )
    assert (made.json()["name"], made.json()["description"]) == ("Café 👩🏽\u200d🔬", "Zoë\n")
    path = f"/products/{made.json()['id']}"
    changed = await service.call("PATCH", path, by="admin", json={"name": "Te\u0301"})
    assert changed.json()["name"] == "Té"
    category = f"Caf\u00e9 {uuid7()}"
    await service.call("POST", "/categories", by="admin", json={"name": category.replace("\u00e9", "e\u0301")})
    assert (await service.call("PATCH", path, by="admin", json={"category": category})).json()["category"] == category
    for body in ({"name": "A\nB"}, {"category": "A\u2067B"}):
        refused = await service.call("PATCH", path, by="admin", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_name")
    refused = await service.call("POST", "/categories", by="admin", json={"name": "A\u2028B"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_name")
    refused = await service.call("PATCH", path, by="admin", json={"description": "\u202e"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_text")
