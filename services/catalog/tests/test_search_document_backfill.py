"""The backfill of search documents: page by page, from a position that survives a restart, beside a ready service."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from services.catalog.tests.conftest import (
    INSERT_PRODUCT,
    INSERT_PRODUCT_BEFORE_0009,
    MakeSettings,
    fake_users,
    migrated_by,
    opened,
    running,
    stock_request,
    until,
)
from uuid_utils.compat import uuid7

from catalog.domain.reservation import Reservation
from catalog.reserve_stock import reserve_stock
from catalog.store import search_documents
from catalog.workers import search_document_backfill
from catalog.workers.search_document_backfill import SearchDocumentBackfill
from chassis.persistence.database import Database

PRODUCTS = 10
START_S_MAX = 5.0


@pytest.fixture
async def old_catalog(database_url: str, tmp_path: Path) -> str:
    """The address of a database with products that are older than the search documents."""
    old = await migrated_by(database_url, tmp_path, "000[1-7]*.sql")
    for number in range(PRODUCTS):
        await old.run(
            lambda c, n=number: c.execute(INSERT_PRODUCT_BEFORE_0009, uuid7(), f"OLD-{n}", f"Lamp {n}", "")  # type: ignore[misc]
        )
    await old.stop()
    return database_url


async def documents_in(database: Database) -> int:
    count: int = await database.read(lambda c: c.fetchval("SELECT count(*) FROM search_documents"))
    return count


async def test_the_backfill_resumes_from_its_position_after_a_restart(old_catalog: str) -> None:
    async with opened(old_catalog) as database:
        assert not await database.run(lambda c: search_documents.backfill_page(c, 4))
        assert await documents_in(database) == 4
    async with opened(old_catalog) as database:
        ids = [row["id"] for row in await database.read(lambda c: c.fetch("SELECT id FROM products ORDER BY id"))]
        position = await database.read(lambda c: c.fetchval("SELECT last_product_id FROM search_document_backfill"))
        assert position == ids[3]
        assert not await database.run(lambda c: search_documents.backfill_page(c, 6))
        assert await documents_in(database) == PRODUCTS
        # That page was full, so only the next one shows that no product is left.
        assert await database.run(lambda c: search_documents.backfill_page(c, 6))
        assert await database.read(search_documents.is_backfill_complete)


async def test_replicas_take_turns_and_each_notices_the_end(old_catalog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_document_backfill, "PAGE_SIZE", 2)
    async with opened(old_catalog) as one, opened(old_catalog) as other:
        backfills = [SearchDocumentBackfill(database) for database in (one, other)]
        await asyncio.gather(*(backfill.start() for backfill in backfills))

        async def are_complete() -> bool:
            return all(backfill.is_complete for backfill in backfills)

        await until(are_complete, "the backfill is complete")
        assert await documents_in(one) == PRODUCTS
        for backfill in backfills:
            await backfill.stop()


async def test_readiness_does_not_wait_for_the_backfill(
    old_catalog: str, settings: MakeSettings, user_jwks: str, tokens: dict[str, str]
) -> None:
    async with opened(old_catalog) as database, fake_users(user_jwks) as users_url:

        async def is_complete() -> bool:
            return await database.read(search_documents.is_backfill_complete)

        other = await asyncpg.connect(old_catalog)
        await other.execute("BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(START_S_MAX), running(settings(old_catalog, users_url), tokens):
            assert not await is_complete()
            await other.execute("ROLLBACK")
            await until(is_complete, "the backfill is complete")
        await other.close()


async def test_a_new_catalog_is_complete_at_its_first_start(database_url: str) -> None:
    async with opened(database_url) as database:
        backfill = SearchDocumentBackfill(database)
        await backfill.start()
        assert backfill.is_complete
        await backfill.stop()


async def test_a_catalog_whose_products_all_have_documents_is_complete_after_the_upgrade(
    database_url: str, tmp_path: Path
) -> None:
    old = await migrated_by(database_url, tmp_path, "000[1-8]*.sql")
    await old.run(lambda c: c.execute(INSERT_PRODUCT_BEFORE_0009, uuid7(), "OLD-1", "Lamp", ""))
    await old.stop()
    async with opened(database_url) as database:
        assert await database.read(search_documents.is_backfill_complete)


async def test_a_replica_from_before_0009_sells_and_changes_products_beside_the_new_one(
    database_url: str, tmp_path: Path
) -> None:
    old = await migrated_by(database_url, tmp_path, "000[1-8]*.sql")
    product_id = uuid7()
    await old.run(lambda c: c.execute(INSERT_PRODUCT_BEFORE_0009, product_id, "OLD-1", "Lamp", ""))
    async with opened(database_url) as new:
        await new.run(lambda c: c.execute(INSERT_PRODUCT, uuid7(), "NEW-1", "Lamp", ""))
        await old.run(lambda c: c.execute("UPDATE products SET name = 'Desk lamp' WHERE id = $1", product_id))
        [outcome] = await reserve_stock(old, [stock_request((product_id, 1))])
        assert isinstance(outcome, Reservation)
        assert outcome.lines[0].name == "Desk lamp"
    await old.stop()
