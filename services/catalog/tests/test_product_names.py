"""A product is found by its own name, in any script, form and spelling, and by the tail of its SKU."""

import asyncio
import unicodedata
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from services.catalog.tests.conftest import (
    INSERT_PRODUCT,
    INSERT_PRODUCT_BEFORE_0009,
    MakeSettings,
    Service,
    fake_users,
    found,
    migrated_by,
    opened,
    running,
    until,
)
from uuid_utils.compat import uuid7

from catalog.creation import Creation
from catalog.store import categories
from catalog.workers import search_document_backfill

pytestmark = pytest.mark.asyncio(loop_scope="module")
NORMAL_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
# One alphabet for each script, and one for all visible characters.
_scripts = [
    st.characters(min_codepoint=low, max_codepoint=high, exclude_categories=["Cn", "Cc", "Cs", "Zl", "Zp"])
    for low, high in [
        (0x20, 0x7E), (0xA1, 0x24F), (0x370, 0x52F), (0x531, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1000, 0x17FF),
        (0x1E00, 0x1FFF), (0x2010, 0x2BFF), (0x3041, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF),
        (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0x20, 0x2FA1D),
    ]
]  # fmt: skip
_names = st.lists(
    st.one_of([st.text(script, min_size=1, max_size=12) for script in _scripts]), min_size=1, max_size=6
).map(" ".join)
_language = st.lists(st.sampled_from(["the", "or", "and", "not", "-who", '"it"', "lamp", "a&b", "!", "or"]), min_size=1)


def is_visible(name: str) -> bool:
    return any(unicodedata.category(character)[0] in "LNPS" for character in name)


async def written(service: Service, name: str, *, sku: str | None = None, description: str = "") -> str:
    """The SKU of a new product that is inserted past the rules for names, as older versions have written them."""
    sku = sku or f"S-{uuid7()}"
    async with service.connection() as connection:
        await connection.execute(INSERT_PRODUCT, uuid7(), sku, name, description)
    return sku


async def skus_of(service: Service, query: str) -> set[str]:
    return {item["sku"] for item in await found(service, q=query)}


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("The Who", ["the who", "The Who", "THE WHO"]),
        ("It", ["it", "IT"]),
        ("Trick or Treat", ["trick or treat"]),
        ("Who -- What \"Not\"", ["Who -- What \"Not\""]),
        ("-Without-", ["-Without-"]),
        ("Bücherregal Größe", ["bücherregal", "bucherregal", "buecherregal", "grosse", "groesse", "GRÖSSE"]),
        ("Ä", ["ae", "a", "ä", "Ä"]),
        ("Straßenkarte", ["strassenkarte", "STRASSENKARTE", "straßenkarte"]),
        ("Smørrebrød Ål", ["smorrebrod", "smoerrebroed", "SMØRREBRØD", "aal", "al"]),
        ("Kırmızı ışık İstanbul", ["kirmizi", "isik", "istanbul", "ISIK", "ışık"]),
        ("Łódź żółw", ["lodz", "zolw", "łódź"]),
        ("Crème brûlée", ["creme brulee", "cre\u0300me", "CRÈME"]),
        ("Œuvre Æther Þór ðeg", ["oeuvre", "aether", "thor", "deg"]),
        ("Ёлка", ["елка", "ЁЛКА"]),
        ("Σίσυφος", ["σισυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"]),
        ("日本語キーボード", ["日本語", "キーボード", "語キー", "ボ", "ｷｰﾎﾞｰﾄﾞ"]),
        ("无线键盘 2.4G", ["键盘", "无线", "线键", "键盘 2.4g"]),
        ("เก้าอี้ไม้สัก", ["เก้าอี้", "ไม้สัก", "ไม้"]),
        ("무선키보드", ["키보드", "무선"]),
        ("लाल कुर्सी", ["कुर्सी", "लाल"]),
        ("الكِتَاب", ["الكتاب"]),
        ("Mug 🎉", ["🎉", "mug 🎉", "🎉 mug"]),
        ("👩\u200d💻", ["👩\u200d💻", "💻"]),
        ("☃", ["☃"]),
        ("!!!", ["!!!"]),
        ("ﬁne ℌat ①", ["fine", "hat", "1"]),
        ("Ｗｉｄｅ", ["wide", "WIDE"]),
        ("Lamp™", ["lamp"]),
        ("C++ \\ 'n' \\'", ["C++ \\ 'n' \\'"]),
    ],
)  # fmt: skip
async def test_a_product_is_found_by_the_usual_spellings_of_its_name(
    service: Service, name: str, queries: list[str]
) -> None:
    for stored in {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}:
        sku = await written(service, stored)
        missed = [
            query
            for typed in [name, *queries]
            for query in {unicodedata.normalize(form, typed) for form in ("NFC", "NFD")}
            if sku not in await skus_of(service, query)
        ]
        assert not missed, (stored, missed)


async def test_any_name_in_any_normal_form_finds_its_product(service: Service) -> None:
    loop = asyncio.get_running_loop()

    def search_for_all() -> None:
        @hypothesis.settings(max_examples=150, derandomize=True, deadline=None, database=None)
        @hypothesis.given(
            name=st.one_of(_names, _language.map(" ".join), st.text(max_size=40)).filter(is_visible),
            stored=st.sampled_from(NORMAL_FORMS),
            typed=st.sampled_from(NORMAL_FORMS),
        )
        def search(name: str, stored: str, typed: str) -> None:
            kept = unicodedata.normalize(stored, name).replace("\x00", "")
            query = unicodedata.normalize(typed, kept)
            hypothesis.assume(is_visible(kept) and len(query) <= 800)

            async def is_found() -> bool:
                sku = await written(service, kept)
                return sku in await skus_of(service, query)

            assert asyncio.run_coroutine_threadsafe(is_found(), loop).result(30), (kept, query)

        search()

    await asyncio.to_thread(search_for_all)


async def test_a_long_name_of_many_words_is_found_by_the_whole_of_it(service: Service) -> None:
    name = " ".join(f"wörd{number}" for number in range(25))
    sku = await written(service, f"{name} -x")
    assert sku in await skus_of(service, unicodedata.normalize("NFD", f"{name} -x"))


@pytest.mark.parametrize("tail", ["7731", "77-31", "x7731", "RX-7731", "rx7731", "31"])
async def test_the_tail_of_a_sku_finds_its_product(service: Service, tail: str) -> None:
    sku = await written(service, "Heater", sku=f"PQ{uuid7().hex}-RX77-31")
    assert sku in await skus_of(service, tail)


async def test_words_of_the_name_and_of_the_description_are_found_together(service: Service) -> None:
    sku = await written(service, "Müllersessel", description="A comfortable armchair.")
    for query in ("mullersessel armchairs", "muellersessel comfortable", "the muellersessel"):
        assert sku in await skus_of(service, query), query


async def test_an_excluded_word_leaves_out_products_with_it_in_their_name(service: Service) -> None:
    sweet, bitter = await written(service, "Zitrone süß"), await written(service, "Zitrone bitter")
    assert await skus_of(service, "zitrone -bitter") == {sweet}
    assert await skus_of(service, '"zitrone bitter"') == {bitter}


async def test_a_renamed_product_is_found_by_its_new_name_alone(service: Service) -> None:
    product = await service.product(name="Grüße")
    await service.call("PATCH", f"/products/{product['id']}", by="admin", json={"name": "Æpfel"})
    assert product["sku"] in await skus_of(service, "aepfel")
    assert product["sku"] not in await skus_of(service, "gruesse")


async def test_all_forms_of_a_name_are_one_category(service: Service) -> None:
    name = f"Café Größe {uuid7()}"
    created = await service.call("POST", "/categories", by="admin", json={"name": name})
    assert created.status_code == 201
    for same in (unicodedata.normalize("NFD", name), name.upper(), name.replace("ß", "ss"), name.replace("C", "Ｃ")):
        again = await service.call("POST", "/categories", by="admin", json={"name": same})
        assert (again.status_code, again.json()["code"]) == (409, "category_exists"), same
        product = await service.product(category=same)
        assert product["category"] == name
        assert product["id"] in [item["id"] for item in await found(service, category=same)]


async def test_an_upgrade_indexes_existing_products_page_by_page_while_searches_work(
    database_url: str,
    settings: MakeSettings,
    user_jwks: str,
    tokens: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_document_backfill, "PAGE_SIZE", 3)
    monkeypatch.setattr(search_document_backfill, "PAUSE_S", 0.3)
    before = await migrated_by(database_url, tmp_path, "000[1-7]*.sql")
    for number in range(10):
        await before.run(
            lambda c, n=number: c.execute(INSERT_PRODUCT_BEFORE_0009, uuid7(), f"OLD-{n}", f"Müller lamp {n}", "")
        )  # type: ignore[misc]
    async with fake_users(user_jwks) as users_url, running(settings(database_url, users_url), tokens) as service:
        assert len(await service.rows("SELECT FROM search_documents")) < 10
        assert len(await skus_of(service, "lamp")) == 10
        # Another replica renames a product that has no document yet, and adds one.
        await before.run(lambda c: c.execute("UPDATE products SET name = 'Große Uhr' WHERE sku = 'OLD-9'"))
        await before.run(lambda c: c.execute(INSERT_PRODUCT, uuid7(), "NEW-1", "Müller", ""))
        await before.stop()

        async def is_indexed() -> bool:
            return await skus_of(service, "grosse") == {"OLD-9"}

        await until(is_indexed, "all products are found by their names")
        assert await skus_of(service, "mueller") == {"NEW-1", *(f"OLD-{number}" for number in range(9))}
        rows = await service.rows(
            "SELECT FROM products JOIN search_documents ON product_id = id AND document = search || names_of(name, sku)"
        )
        assert len(rows) == 11


async def test_two_old_categories_of_one_name_stay_two_with_exact_names(database_url: str, tmp_path: Path) -> None:
    before = await migrated_by(database_url, tmp_path, "000[1-7]*.sql")
    names = [unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")]
    insert = "INSERT INTO categories (id, name) VALUES ($1, $2)"
    for name in names:
        await before.run(lambda c, name=name: c.execute(insert, uuid7(), name))  # type: ignore[misc]
    await before.stop()
    async with opened(database_url) as after:
        for name in names:
            category = await after.read(lambda c, name=name: categories.find_category(c, name))  # type: ignore[misc]
            assert category is not None
            assert category.name == name
        assert not await after.run(lambda c: categories.insert_category(c, Creation.without_request(), "CAFÉ"))
