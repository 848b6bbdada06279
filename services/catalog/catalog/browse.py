"""Reads of the catalog, page by page."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from catalog.domain.product_search import ProductSearch, cursor_at
from catalog.errors import UnknownProduct
from catalog.messages import Category, Product, ProductNow, StockAdjustment
from catalog.store import product_search, products, stock
from catalog.store.product_search import Found, SearchQuery
from chassis.persistence.database import Connection, Database
from chassis.web.pages import Page, cursor_of, key_of


async def search_products(
    database: Database, search: ProductSearch, limit: int, *, in_documents: bool
) -> Page[Product]:
    """The products that `search` finds; where its words find nothing at all, those that are meant by them.

    One more than `limit` is read, to know whether there is a next page.
    """

    async def find(connection: Connection, search: ProductSearch, query: SearchQuery | None) -> Found:
        return await product_search.search_products(connection, search, limit + 1, query, in_documents=in_documents)

    async def work(connection: Connection) -> tuple[ProductSearch, Found]:
        if search.query is None:
            return search, await find(connection, search, None)
        if search.strange is None:
            said = await product_search.read_query(connection, search, in_documents=in_documents)
            found = await find(connection, search, said)
            if found or search.after is not None:
                return search, found
        strange, meaning = await product_search.read_meaning(connection, search.query, search.strange)
        by_meaning = replace(search, strange=strange)
        if meaning is None:
            return by_meaning, []
        return by_meaning, await find(connection, by_meaning, SearchQuery(found=meaning, said=meaning))

    searched, found = await database.read(work)
    next_cursor = cursor_at(searched, found[limit - 1][1]) if len(found) > limit else None
    return Page([product for product, _ in found[:limit]], next_cursor)


async def show_product(database: Database, product_id: UUID) -> Product:
    """Raises `UnknownProduct`, for a deleted one too."""
    product = await database.read(lambda connection: products.read_product(connection, product_id))
    if product is None:
        raise UnknownProduct
    return product


async def look_up_products(database: Database, product_ids: Sequence[UUID]) -> list[ProductNow]:
    """Those that are on sale; the others are left out."""
    return await database.read(lambda connection: products.read_products_now(connection, product_ids))


async def list_categories(database: Database, cursor: str | None, limit: int) -> Page[Category]:
    """In the order of their names."""
    after = key_of(cursor, str)
    found = await database.read(lambda connection: products.list_categories(connection, after, limit + 1))
    return Page(found[:limit], cursor_of(found[limit - 1].name) if len(found) > limit else None)


async def list_adjustments(
    database: Database, product_id: UUID, cursor: str | None, limit: int
) -> Page[StockAdjustment]:
    """The newest first; those of a deleted product too. Raises `UnknownProduct` for one that never was."""
    after = key_of(cursor, UUID)

    async def query(connection: Connection) -> list[StockAdjustment]:
        if await products.read_product(connection, product_id, deleted_too=True) is None:
            raise UnknownProduct
        return await stock.list_adjustments(connection, product_id, after, limit + 1)

    found = await database.read(query)
    return Page(found[:limit], cursor_of(found[limit - 1].id) if len(found) > limit else None)
