"""Finding products: words, misspelt words, filters, orders, and pages that neither skip nor repeat."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from services.catalog.tests.conftest import DEMO_SHOP, MakeSettings, Service, fake_users, running

from cartwright.embedded.scratch import ScratchPostgres
from catalog.product_search import Sort

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    settings: MakeSettings, postgres: ScratchPostgres, user_jwks: str, tokens: dict[str, str]
) -> AsyncIterator[Service]:
    """The demo shop."""
    url = postgres.make_database()
    async with (
        fake_users(user_jwks) as users_url,
        running(settings(url, users_url, demo_shop=str(DEMO_SHOP)), tokens) as service,
    ):
        yield service
    postgres.drop_database(url)


async def found(shop: Service, **query: Any) -> list[dict[str, Any]]:
    answer = await shop.client.get("/products", params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_the_demo_shop_has_what_its_readers_are_promised(shop: Service) -> None:
    by_sku = {item["sku"]: item for item in await found(shop)}
    assert len(by_sku) == 40
    for sku, price, stock in (
        ("KEYBOARD-MECH", "149.99", 50),
        ("USB-C-HUB", "49.99", 200),
        ("MONITOR-27", "399.99", 30),
    ):
        assert by_sku[sku]["price"] == {"amount": price, "currency": "USD"}
        assert by_sku[sku]["stock"] == stock
    differences = await shop.rows("SELECT product_id FROM stock_balance WHERE difference <> 0")
    assert differences == []


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("mechanical keyboard", "KEYBOARD-MECH"),
        ("mecanical keybord", "KEYBOARD-MECH"),
        ("USB-C-HUB", "USB-C-HUB"),
        ("thunderbolt dock", "DOCK-TB4"),
        ("left-handed mouse", "MOUSE-ERGO-LEFT"),
        ("hedphones", "HEADPHONES-ANC"),
        ("walnut", "WRIST-REST"),
    ],
)
async def test_words_find_what_is_meant_first(shop: Service, words: str, first: str) -> None:
    assert (await found(shop, q=words))[0]["sku"] == first


@pytest.mark.parametrize("words", ["xyzzy", "!!!", "'; DROP TABLE products; --", "&|:*", '"', "%", "\\"])
async def test_words_that_mean_nothing_find_nothing_and_break_nothing(shop: Service, words: str) -> None:
    assert await found(shop, q=words) == []


async def test_filters_narrow_down(shop: Service) -> None:
    monitors = await found(shop, category="monitors")
    assert {item["category"] for item in monitors} == {"Monitors"}
    cheap = await found(shop, price_max="20", price_min="15.00")
    assert {item["sku"] for item in cheap} == {"CABLE-USBC-2M", "CABLE-HDMI-21"}
    assert await found(shop, currency="EUR") == []
    assert await found(shop, in_stock="false") == []
    assert len(await found(shop, in_stock="true")) == 40
    assert [item["sku"] for item in await found(shop, q="monitor", category="Monitors", price_max="200")] != []


@pytest.mark.parametrize("sort", list(Sort))
async def test_pages_neither_skip_nor_repeat(shop: Service, sort: Sort) -> None:
    query = {"q": "usb wireless keyboard or mouse or cable or monitor"} if sort is Sort.RELEVANCE else {}
    whole = await found(shop, sort=sort.value, **query)
    assert len(whole) > 6
    paged: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page_query = {**query, "sort": sort.value, "limit": 3, **({} if cursor is None else {"cursor": cursor})}
        page = (await shop.client.get("/products", params=page_query)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 3
    assert paged == whole
    amounts = [float(item["price"]["amount"]) for item in whole]
    if sort is Sort.PRICE:
        assert amounts == sorted(amounts)
    if sort is Sort.DEAREST:
        assert amounts == sorted(amounts, reverse=True)
    if sort is Sort.NAME:
        assert [item["name"] for item in whole] != []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"sort": "random"},
        {"sort": "relevance"},
        {"cursor": "made-up"},
        {"cursor": "é"},
        {"price_min": "ten"},
        {"price_min": "1e3"},
        {"price_max": "1.234"},
        {"price_max": "9" * 19},
        {"currency": "usd"},
        {"in_stock": "perhaps"},
        {"q": "x" * 201},
        {"q": "a\x00b"},
        {"category": "\x00"},
    ],
)
async def test_a_query_that_makes_no_sense_is_told_so(shop: Service, query: dict[str, Any]) -> None:
    answer = await shop.client.get("/products", params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid"


async def test_a_cursor_is_good_for_its_own_order_only(shop: Service) -> None:
    page = (await shop.client.get("/products", params={"sort": "price", "limit": 1})).json()
    answer = await shop.client.get("/products", params={"sort": "-price", "cursor": page["next_cursor"]})
    assert answer.status_code == 422
