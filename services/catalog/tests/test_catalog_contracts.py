"""Catalog sends what its contracts in `contracts/` describe, and reads what the contracts of others describe."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from services.catalog.tests.conftest import Service
from uuid_utils.compat import uuid7

from catalog.consumed_events import OrderSettled
from catalog.http.schemas import ReleaseRequests, ReservationRequests
from catalog.workers import consumer

CONTRACTS = Path(__file__).parents[3] / "contracts"
EVENTS = {"product.created", "product.updated", "product.deleted", "stock.adjusted"}
pytestmark = pytest.mark.asyncio(loop_scope="module")


def contract(path: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CONTRACTS / path).read_text())
    return read


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())


def reservation(*lines: tuple[str, int], **changes: Any) -> dict[str, Any]:
    return {
        "order_id": str(uuid7()),
        "lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in lines],
        "expected_total": None,
        "correlation_id": "checkout-1",
        "traceparent": None,
        **changes,
    }


async def test_every_event_is_as_its_contract_describes(service: Service) -> None:
    await service.call("POST", "/categories", by="admin", json={"name": "Lamps"})
    product = await service.product(name='Zoë\'s "lamp"', category="Lamps", stock=3)
    path = f"/products/{product['id']}"
    await service.call("PATCH", path, by="admin", json={"category": None})
    await service.call("POST", f"{path}/stock-adjustments", by="admin", json={"quantity": -1, "reason": "broken"})
    await service.call("DELETE", path, by="admin")
    emitted = await service.events_of(product["id"])
    assert {kind for kind, _ in emitted} == EVENTS
    for kind, data in emitted:
        check(data, contract(f"events/{kind}.json")["schema"])


async def test_catalog_emits_and_consumes_the_events_that_contracts_name() -> None:
    contracts = [contract(f"events/{path.name}") for path in (CONTRACTS / "events").glob("*.json")]
    names = [path.stem for path in (CONTRACTS / "events").glob("*.json")]
    assert {name for name, event in zip(names, contracts, strict=True) if event["producer"] == "catalog"} == EVENTS
    consumed = {name for name, event in zip(names, contracts, strict=True) if "catalog" in event["consumers"]}
    assert consumed == set(consumer.TYPES)


async def test_reservations_and_their_refusals_are_answered_as_the_contract_describes(service: Service) -> None:
    described = contract("http/catalog.reservations.json")
    product = await service.product(stock=2)
    foreign = await service.product(price={"amount": "10", "currency": "JPY"})
    dear = await service.product(price={"amount": "9999999999999.99", "currency": "USD"}, stock=9)
    released = reservation((product["id"], 1))
    undo = {"items": [{name: released[name] for name in ("order_id", "correlation_id", "traceparent")}]}
    await service.call("POST", "/reservations/release", by="orders", json=undo)
    items = [
        reservation((product["id"], 1)),
        reservation((product["id"], 2)),
        reservation((str(uuid7()), 1)),
        reservation((product["id"], 1), expected_total={"amount": "9.99", "currency": "USD"}),
        reservation((product["id"], 1), (foreign["id"], 1)),
        reservation((dear["id"], 2)),
        released,
        reservation((product["id"], 1), (product["id"], 1)),
    ]
    for item in items:
        check({"items": [item]}, described["request"]["schema"])
    answer = await service.call("POST", "/reservations", by="orders", json={"items": items})
    check(answer.json(), described["response"]["schema"])
    refusals = answer.json()["items"][1:]
    [refused] = [
        option["properties"]["code"]["enum"]
        for option in described["response"]["schema"]["properties"]["items"]["items"]["oneOf"]
        if "code" in option["properties"]
    ]
    assert {item["code"] for item in refusals} == set(refused)


async def test_the_other_calls_are_answered_as_their_contracts_describe(service: Service) -> None:
    product = await service.product(stock=2)
    order_id = str(uuid7())
    calls = [
        ("products-lookup", "/products/lookup", {"ids": [product["id"], str(uuid7())]}),
        ("product-reserve", f"/products/{product['id']}/reserve", {"order_id": order_id, "quantity": 2}),
        ("product-release", f"/products/{product['id']}/release", {"order_id": order_id}),
        (
            "reservations-release",
            "/reservations/release",
            {"items": [{"order_id": order_id, "correlation_id": "checkout-1", "traceparent": None}]},
        ),
    ]
    for name, path, body in calls:
        described = contract(f"http/catalog.{name}.json")
        check(body, described["request"]["schema"])
        answer = await service.call(described["method"], path, by="orders", json=body)
        assert answer.status_code == 200, answer.text
        check(answer.json(), described["response"]["schema"])
    answer = await service.client.get("/products", params={"limit": 1})
    assert answer.json()["items"] != []
    check(answer.json(), contract("http/catalog.products.json")["response"]["schema"])


@pytest.mark.parametrize(
    ("name", "shape"), [("reservations", ReservationRequests), ("reservations-release", ReleaseRequests)]
)
async def test_every_request_of_a_contract_is_understood(name: str, shape: type[msgspec.Struct]) -> None:
    for example in contract(f"http/catalog.{name}.json")["request"]["examples"]:
        for item in example["items"]:
            item["later"] = {"unknown": True}
        assert len(msgspec.convert(example, shape).items) == len(example["items"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", consumer.TYPES)
async def test_every_event_of_a_contract_is_understood(kind: str) -> None:
    for example in contract(f"events/{kind}.json")["examples"]:
        read = msgspec.convert({**example, "later": [1]}, OrderSettled)
        assert str(read.order_id) == example["order_id"]
