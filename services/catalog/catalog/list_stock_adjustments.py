"""Lists the stock ledger of a product, page by page."""

from uuid import UUID

from catalog.domain.stock import StockAdjustment
from catalog.errors import UnknownProduct
from catalog.store import products, stock
from chassis.persistence.database import Connection, Database
from chassis.web.pages import Page, key_of, page_of


async def list_stock_adjustments(
    database: Database, product_id: UUID, cursor: str | None, limit: int
) -> Page[StockAdjustment]:
    """A page of entries, the newest first, also for a deleted product.

    Raises `UnknownProduct` for an id that no product ever had, and `Invalid` for an unknown cursor.
    """
    after = key_of(cursor, UUID)

    async def work(connection: Connection) -> list[StockAdjustment]:
        if await products.read_product(connection, product_id, include_deleted=True) is None:
            raise UnknownProduct
        return await stock.list_adjustments(connection, product_id, after, limit + 1)

    found = await database.read(work)
    return page_of(found, limit, lambda entry: entry.id)
