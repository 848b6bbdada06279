"""Prices are in currencies of ISO 4217, with its decimals. Products with other prices are shown, but not sold."""

from pathlib import Path
from typing import Any

import pytest
from services.catalog.tests.conftest import Service, found, migrated_by, opened
from uuid_utils.compat import uuid7

pytestmark = pytest.mark.asyncio(loop_scope="module")
INSERT_BEFORE_0004 = """
    INSERT INTO products (id, sku, name, description, price_minor, currency, attributes, trigrams)
    VALUES ($1, $2, $2, '', $3, $4, '{}', '{}')
"""


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"amount": "5000", "currency": "UGX"}, "5000"),
        ({"amount": "4990.5", "currency": "HUF"}, "4990.50"),
        ({"amount": "12.345", "currency": "IQD"}, "12.345"),
        ({"amount": "0.0001", "currency": "UYW"}, "0.0001"),
    ],
)
async def test_a_price_has_the_decimals_of_its_currency(service: Service, given: dict[str, str], written: str) -> None:
    product = await service.product(price=given, stock=3)
    assert product["price"] == {**given, "amount": written}
    body = {"items": [{"order_id": str(uuid7()), "lines": [{"product_id": product["id"], "quantity": 2}]}]}
    reserved = (await service.call("POST", "/reservations", by="orders", json=body)).json()["items"][0]
    assert reserved["lines"][0]["unit_price"] == product["price"]


async def test_a_search_in_an_unknown_currency_is_refused(service: Service) -> None:
    for query in ({"currency": "ABC"}, {"currency": "XXX", "price_min": "1"}):
        refused = await service.client.get("/products", params=query)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
        assert query["currency"] in refused.json()["detail"]


async def test_a_product_stored_with_an_unknown_currency_is_shown_and_not_sold_until_its_price_is_corrected(
    service: Service,
) -> None:
    product = await service.product(stock=3)
    await service.rows("UPDATE products SET currency = 'ABC' WHERE id = $1", product["id"])
    path = f"/products/{product['id']}"
    assert (await service.client.get(path)).json()["price"] == {"amount": "10.00", "currency": "ABC"}
    assert product["id"] in [item["id"] for item in await found(service, q=product["sku"])]

    async def outcome() -> dict[str, Any]:
        body = {"items": [{"order_id": str(uuid7()), "lines": [{"product_id": product["id"], "quantity": 1}]}]}
        answer: dict[str, Any] = (await service.call("POST", "/reservations", by="orders", json=body)).json()
        return {key: answer["items"][0].get(key) for key in ("outcome", "code")}

    async def looked_up() -> list[Any]:
        body = {"ids": [product["id"]]}
        items: list[Any] = (await service.call("POST", "/products/lookup", by="orders", json=body)).json()["items"]
        return items

    assert await outcome() == {"outcome": "refused", "code": "unknown_product"}
    assert await looked_up() == []
    put_right = {"price": {"amount": "10.00", "currency": "USD"}}
    assert (await service.call("PATCH", path, by="admin", json=put_right)).status_code == 200
    assert (await outcome())["outcome"] == "reserved"
    assert len(await looked_up()) == 1


async def test_an_upgrade_keeps_the_amounts_of_prices(database_url: str, tmp_path: Path) -> None:
    stored = {"UGX": 500_000, "RWF": 550, "XOF": 1, "IQD": 1_250, "UYW": 7, "USD": 4_999, "JPY": 700}
    before = await migrated_by(database_url, tmp_path, "000[1-3]*.sql")
    for currency, minor in stored.items():
        await before.run(
            lambda connection, currency=currency, minor=minor: connection.execute(  # type: ignore[misc]
                INSERT_BEFORE_0004, uuid7(), currency, minor, currency
            )
        )
    await before.stop()
    async with opened(database_url) as after:
        rows = await after.read(lambda connection: connection.fetch("SELECT currency, price_minor FROM products"))
    assert dict(rows) == {"UGX": 5_000, "RWF": 6, "XOF": 1, "IQD": 12_500, "UYW": 700, "USD": 4_999, "JPY": 700}
