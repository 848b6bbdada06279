"""Misspelled and incomplete words find similar ones, and only if the words as typed find nothing."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from services.catalog.tests.conftest import Service, found, found_by_page, migrated_by, opened
from uuid_utils.compat import uuid7

from catalog.domain.product_search import Sort
from chassis.persistence.database import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")
INSERT = """
    INSERT INTO products (id, sku, name, description, price_minor, currency, attributes)
    VALUES ($1, $2, $3, '', 100, 'USD', '{}')
"""
INSERT_BEFORE_0002 = INSERT.replace("attributes)", "attributes, trigrams)").replace("'{}')", "'{}', '{abc}')")


async def skus_of(service: Service, **query: Any) -> list[str]:
    return [item["sku"] for item in await found(service, **query)]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("mecanical keybord", "KEYBOARD-MECH"),
        ("hedphones", "HEADPHONES-ANC"),
        ("HEDPHONES", "HEADPHONES-ANC"),
        ("keybord tactil", "KEYBOARD-MECH"),
        ("left-handd mouse", "MOUSE-ERGO-LEFT"),
        ("walnutt/rest", "WRIST-REST"),
        ("thunderbol", "DOCK-TB4"),
        ("numer", "NUMPAD-1"),
        ("trackboll", "TRACKBALL-1"),
        ("KEYBORD-MECH", "KEYBOARD-MECH"),
        ("keyboard-m", "KEYBOARD-MECH"),
        ("cable-h", "CABLE-HDMI-21"),
    ],
)
async def test_misspelled_and_incomplete_words_find_the_best_match_first(shop: Service, words: str, first: str) -> None:
    assert (await skus_of(shop, q=words))[0] == first


async def test_a_misspelled_word_finds_the_same_products_as_the_right_one(shop: Service) -> None:
    assert await skus_of(shop, q="keybord", sort="name") == await skus_of(shop, q="keyboard", sort="name")
    assert await skus_of(shop, q="keyb", sort="name") == await skus_of(shop, q="keyboard", sort="name")


async def test_words_that_a_product_has_are_not_corrected(service: Service) -> None:
    product = await service.product(name="Lamp", description="With a foot of obsidian.")
    await service.product(name="Obsidiam lamp")
    assert await skus_of(service, q="obsidian") == [product["sku"]]
    assert await skus_of(service, q="obsidian lmp") == [product["sku"]]


async def test_only_the_most_similar_words_are_corrections(service: Service) -> None:
    for name in ("Zwireless", "Zwires", "Zwire"):
        await service.product(name=name, sku=f"{name}-1")
    assert await skus_of(service, q="zwireles") == ["Zwireless-1"]


async def test_operators_apply_to_misspelled_words_too(shop: Service) -> None:
    mice = set(await skus_of(shop, q="mouse")) - {"MOUSE-ERGO", "MOUSE-ERGO-LEFT"}
    assert mice
    assert set(await skus_of(shop, q="travl mouse or numerik")) == {"MOUSE-TRAVEL", "NUMPAD-1"}
    assert set(await skus_of(shop, q="trvel moouse -verticl")) == {"MOUSE-TRAVEL"}
    assert set(await skus_of(shop, q='"verticl mouse"')) == {"MOUSE-ERGO", "MOUSE-ERGO-LEFT"}
    assert await skus_of(shop, q='"mouse verticl"') == []


@pytest.mark.parametrize(
    ("filters", "skus"),
    [
        ({"price_max": "90"}, {"KEYBOARD-QUIET"}),
        ({"in_stock": "false"}, set()),
        ({"currency": "EUR"}, set()),
        ({"category": "Monitors"}, set()),
    ],
)
async def test_filters_apply_to_corrected_searches_too(shop: Service, filters: dict[str, str], skus: set[str]) -> None:
    assert set(await skus_of(shop, q="quiett keybord", **filters)) == skus


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("filters", [{}, {"price_max": "200", "in_stock": "true"}])
async def test_pages_of_a_corrected_search_neither_skip_nor_repeat(
    shop: Service, sort: Sort, filters: dict[str, str]
) -> None:
    query = {"q": "keybord or monitr or cabel or mouze", "sort": sort.value, **filters}
    whole = await found(shop, **query)
    assert len(whole) > 6
    assert len({item["id"] for item in whole}) == len(whole)
    assert await found_by_page(shop, 3, **query) == whole


async def test_a_second_page_keeps_the_corrections_though_a_product_with_the_typed_word_is_added(
    service: Service,
) -> None:
    names = ["Xylophone alto", "Xylophone bass", "Xylophone tenor"]
    for name in names:
        await service.product(name=name)
    query = {"q": "xylofone", "sort": "name", "limit": 1}
    first = (await service.client.get("/products", params=query)).json()
    await service.product(name="Xylofone, as some say")
    rest = (await service.client.get("/products", params={**query, "limit": 9, "cursor": first["next_cursor"]})).json()
    assert [item["name"] for item in first["items"] + rest["items"]] == names
    assert [item["name"] for item in await found(service, q="xylofone")] == ["Xylofone, as some say"]


async def test_a_second_page_without_products_is_the_end(service: Service) -> None:
    for name in ("Ocarin", "Ocarina one", "Ocarina two"):
        product = await service.product(name=name, sku=name.replace(" ", "-"))
    assert product["sku"] == "Ocarina-two"
    assert await found_by_page(service, 1, q="ocarin", sort="newest") == await found(service, q="ocarin", sort="newest")


async def test_a_corrected_name_is_found_by_the_former_misspelling(service: Service) -> None:
    product = await service.product(name="Theremyn")
    assert await skus_of(service, q="theremyn") == [product["sku"]]
    await service.call("PATCH", f"/products/{product['id']}", by="admin", json={"name": "Theremin"})
    assert await skus_of(service, q="theremyn") == [product["sku"]]
    await service.call("DELETE", f"/products/{product['id']}", by="admin")
    assert await skus_of(service, q="theremyn") == []


async def test_skus_and_words_with_digits_are_not_used_for_corrections(service: Service) -> None:
    await service.product(name="Harmonium WH1000 wh-1000xm4 27in to", sku="ACCORDION-77")
    rows = await service.rows("SELECT word FROM words WHERE word ~ 'harmonium|wh|27|acc|^to$'")
    assert [row["word"] for row in rows] == ["harmonium"]


@pytest.mark.parametrize(
    "words",
    [
        "keybord' | 'mouse",
        "keybord:* & !(",
        "((((keybord",
        "keybord <-> <2> !! mouze",
        "'':*",
        "\\'keybord\\",
        '"keybord',
        "keybord \u2603 \U0001f600",
        "\U0001f600",
        "½ ² ﷺ",
        "e\u0301" * 100,
        "ab " * 66,
        "é" * 200,
        "x" * 200,
        "-" * 200,
        "- " * 100,
        "-\u00bd" * 100,
        '-""' * 66,
        '-a"' * 66,
        "." * 200,
        "a-" * 100,
        "or",
        "-",
        '"',
        "-keybord",
        "the",
        "thee of",
        "$1",
        "%s",
        "1e5 0x1f 1.5.7",
        "http://keybord.example/mouze?a=b",
    ],
)
async def test_no_input_breaks_a_search(shop: Service, words: str) -> None:
    whole = await found(shop, q=words)
    assert await found_by_page(shop, 3, q=words) == whole


async def test_an_excluded_compound_stays_excluded_as_a_whole(shop: Service) -> None:
    assert set(await skus_of(shop, q="moouse -left-handed")) == {*await skus_of(shop, q="mouse")} - {"MOUSE-ERGO-LEFT"}
    assert await skus_of(shop, q="trackball -trackball -left-handed") == []


async def test_stop_words_are_not_corrected(shop: Service) -> None:
    assert (await skus_of(shop, q="the and for with this from of at keybord"))[0] in await skus_of(shop, q="keyboard")


async def test_input_is_not_read_as_the_query_language_of_postgresql(shop: Service) -> None:
    everything_else = await skus_of(shop, q="keybord' | !'zzz")
    assert set(everything_else) <= set(await skus_of(shop, q="keyboard"))


async def test_a_null_character_in_a_query_is_refused(shop: Service) -> None:
    answer = await shop.client.get("/products", params={"q": "keybord\x00"})
    assert answer.status_code == 422


async def test_an_upgrade_takes_the_words_of_existing_products(database_url: str, tmp_path: Path) -> None:
    before = await migrated_by(database_url, tmp_path, "0001*.sql")
    await before.run(lambda c: c.execute(INSERT_BEFORE_0002, uuid7(), "ACCORDION-77", "Grand Piano 88"))
    with_words = await migrated_by(database_url, tmp_path, "0002*.sql")
    # A replica of the version before 0002 runs beside the new one.
    await before.run(lambda c: c.execute(INSERT_BEFORE_0002, uuid7(), "B-2", "Harpsichord"))
    await before.stop()
    await with_words.stop()
    async with opened(database_url) as database:
        assert await words_of(database) == ["grand", "harpsichord", "piano"]


async def test_products_with_the_same_new_words_are_written_concurrently(service: Service) -> None:
    words = [f"{first}{second}inet" for first in "abcdefgh" for second in "klmnopqrst"]
    dice = random.Random(1)

    async def write() -> None:
        async with service.connection() as connection:
            for _ in range(10):
                name = " ".join(dice.sample(words, 20))
                # The database layer would repeat the transaction after a deadlock. Here a deadlock fails the test.
                await connection.execute(INSERT, uuid7(), f"S-{uuid7()}", name)

    await asyncio.gather(*(write() for _ in range(8)))
    rows = await service.rows("SELECT word FROM words WHERE word LIKE '%inet' ORDER BY word")
    assert [row["word"] for row in rows] == words


async def words_of(database: Database) -> list[str]:
    rows = await database.read(lambda connection: connection.fetch("SELECT word FROM words ORDER BY word"))
    return [row["word"] for row in rows]
