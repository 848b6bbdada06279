"""The catalog over HTTP: products, categories, stock, and the calls of other services."""

from typing import Any
from uuid import UUID

import pytest
from services.catalog.tests.conftest import Service
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.asyncio(loop_scope="module")
PRICE = {"amount": "10.00", "currency": "USD"}


async def test_a_product_reads_as_it_was_created(service: Service) -> None:
    created = await service.product(name="Desk lamp", description="Bright.", attributes={"watts": 9}, stock=7)
    read = await service.client.get(f"/products/{created['id']}")
    assert read.status_code == 200
    assert read.json() == created
    assert created["price"] == PRICE
    assert created["stock"] == 7
    assert created["version"] == 1
    assert created["attributes"] == {"watts": 9}


async def test_reserved_stock_is_not_for_sale_until_it_is_released(service: Service) -> None:
    product = await service.product(stock=5)
    item: dict[str, Any] = {"order_id": str(uuid7()), "lines": [{"product_id": product["id"], "quantity": 3}]}
    for _ in range(2):
        answer = await service.call("POST", "/reservations", by="orders", json={"items": [item]})
        assert answer.status_code == 200, answer.text
        [reserved] = answer.json()["items"]
        assert reserved["outcome"] == "reserved"
        assert reserved["total"] == {"amount": "30.00", "currency": "USD"}
        assert await service.stock_of(product["id"]) == 2
    for _ in range(2):
        undo = {"items": [{"order_id": item["order_id"]}]}
        answer = await service.call("POST", "/reservations/release", by="orders", json=undo)
        assert answer.json() == {"items": [{"order_id": item["order_id"], "outcome": "released"}]}
        assert await service.stock_of(product["id"]) == 5
    answer = await service.call("POST", "/reservations", by="orders", json={"items": [item]})
    assert answer.json()["items"][0]["code"] == "released"


async def test_a_refused_order_does_not_affect_the_others_of_its_batch(service: Service) -> None:
    product, other = await service.product(stock=1), await service.product(stock=1)
    unknown = str(uuid7())
    orders = [
        [(product["id"], 1)],
        [(other["id"], 1), (product["id"], 2)],
        [(unknown, 1)],
        [(other["id"], 0)],
        [(other["id"], 1)],
    ]
    items = [
        {"order_id": str(uuid7()), "lines": [{"product_id": id_, "quantity": quantity} for id_, quantity in lines]}
        for lines in orders
    ]
    answers = (await service.call("POST", "/reservations", by="orders", json={"items": items})).json()["items"]
    assert [answer["order_id"] for answer in answers] == [item["order_id"] for item in items]
    codes = [answer.get("code", answer["outcome"]) for answer in answers]
    assert codes == ["reserved", "out_of_stock", "unknown_product", "unacceptable_lines", "reserved"]
    assert answers[1]["shortages"] == [{"product_id": product["id"], "requested": 2, "available": 0}]
    assert UUID(answers[1]["shortages"][0]["product_id"])


async def test_one_product_is_reserved_and_released_by_its_path(service: Service) -> None:
    product = await service.product(stock=2)
    order_id = str(uuid7())
    path = f"/products/{product['id']}"
    reserved = await service.call("POST", f"{path}/reserve", by="admin", json={"order_id": order_id, "quantity": 2})
    assert reserved.status_code == 200, reserved.text
    assert reserved.json()["total"] == {"amount": "20.00", "currency": "USD"}
    short = await service.call("POST", f"{path}/reserve", by="orders", json={"order_id": str(uuid7()), "quantity": 1})
    assert (short.status_code, short.json()["code"], short.json()["available"]) == (409, "out_of_stock", 0)
    released = await service.call("POST", f"{path}/release", by="orders", json={"order_id": order_id})
    assert released.json() == {"order_id": order_id, "outcome": "released"}
    assert await service.stock_of(product["id"]) == 2
