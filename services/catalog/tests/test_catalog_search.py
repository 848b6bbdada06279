"""Searches for products: words, filters, orders, and pages that neither skip nor repeat."""

from typing import Any

import pytest
from services.catalog.tests.conftest import Service, found, found_by_page

from catalog.domain.product_search import Sort

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_demo_shop_has_the_products_that_the_documents_name(shop: Service) -> None:
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
        ("USB-C-HUB", "USB-C-HUB"),
        ("thunderbolt dock", "DOCK-TB4"),
        ("left-handed mouse", "MOUSE-ERGO-LEFT"),
        ("walnut", "WRIST-REST"),
    ],
)
async def test_words_find_the_best_match_first(shop: Service, words: str, first: str) -> None:
    assert (await found(shop, q=words))[0]["sku"] == first


@pytest.mark.parametrize("words", ["xyzzy", "!!!", "'; DROP TABLE products; --", "&|:*", '"', "%", "\\"])
async def test_unknown_words_and_signs_find_nothing(shop: Service, words: str) -> None:
    assert await found(shop, q=words) == []


async def test_each_product_is_found_by_its_sku_in_any_case(shop: Service) -> None:
    skus = [item["sku"] for item in await found(shop)]
    for sku in skus:
        assert sku in [item["sku"] for item in await found(shop, q=sku)], sku
        assert sku in [item["sku"] for item in await found(shop, q=sku.lower())], sku


async def test_a_phrase_finds_its_words_in_their_order(shop: Service) -> None:
    assert {item["sku"] for item in await found(shop, q='"vertical mouse"')} == {"MOUSE-ERGO", "MOUSE-ERGO-LEFT"}
    assert await found(shop, q='"mouse vertical"') == []


async def test_an_excluded_word_leaves_products_out(shop: Service) -> None:
    mice = {item["sku"] for item in await found(shop, q="mouse")}
    assert {item["sku"] for item in await found(shop, q="mouse -vertical")} == mice - {"MOUSE-ERGO", "MOUSE-ERGO-LEFT"}
    assert len(await found(shop, q="-mouse")) == 40 - len(mice)


async def test_either_of_two_words_is_enough_with_or_between_them(shop: Service) -> None:
    skus = {item["sku"] for item in await found(shop, q="trackball or numeric")}
    assert skus == {"TRACKBALL-1", "NUMPAD-1"}


async def test_filters_apply_together_with_words(shop: Service) -> None:
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
    assert await found_by_page(shop, 3, sort=sort.value, **query) == whole
    amounts = [float(item["price"]["amount"]) for item in whole]
    if sort is Sort.PRICE:
        assert amounts == sorted(amounts)
    if sort is Sort.PRICE_DESCENDING:
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
        {"q": "x" * 801},
        {"q": "a\x00b"},
        {"category": "\x00"},
    ],
)
async def test_an_invalid_query_is_refused(shop: Service, query: dict[str, Any]) -> None:
    answer = await shop.client.get("/products", params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid"


@pytest.mark.parametrize(
    ("query", "other"),
    [
        ({"sort": "price"}, {"sort": "-price"}),
        ({"sort": "name"}, {"sort": "name", "q": "monitor"}),
        ({"sort": "name", "q": "monitor"}, {"sort": "name"}),
        ({"sort": "name", "q": "monitr"}, {"sort": "name"}),
        ({"sort": "name", "q": "monitr"}, {"sort": "price", "q": "monitr"}),
    ],
)
async def test_a_cursor_is_valid_for_its_own_order_and_kind_of_search_only(
    shop: Service, query: dict[str, Any], other: dict[str, Any]
) -> None:
    page = (await shop.client.get("/products", params={**query, "limit": 1})).json()
    assert page["next_cursor"] is not None
    answer = await shop.client.get("/products", params={**other, "cursor": page["next_cursor"]})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


async def test_pages_continue_after_the_longest_possible_name(service: Service) -> None:
    for number in range(3):
        await service.product(name=f"{number}" + "\U0001f600" * 199)
    assert len(await found_by_page(service, 1)) == 3
