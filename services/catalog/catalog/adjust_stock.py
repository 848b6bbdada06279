"""Puts stock in or takes some out, with an entry in the ledger that states the reason."""

from uuid import UUID

from catalog import events
from catalog.creation import Creation
from catalog.domain.stock import StockAdjustment
from catalog.errors import StockTooLow, UnknownProduct
from catalog.store import reservations, stock
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database


async def adjust_stock(
    database: Database, product_id: UUID, quantity: int, reason: str, creation: Creation
) -> StockAdjustment:
    """The new entry of the ledger; for a repeated request, the entry that it wrote before.

    Raises `UnknownProduct`, and `StockTooLow` when less is available than `quantity` takes out. Stock that orders hold
    is not available.
    """

    async def work(connection: Connection) -> StockAdjustment:
        found, adjustment = await stock.find_adjustment(connection, creation)
        if adjustment is not None and creation.repeats(found):
            return adjustment
        added = await _add(connection, product_id, quantity, reason, creation)
        if added is not None:
            return added
        # A concurrent request has used the key since.
        found, adjustment = await stock.find_adjustment(connection, creation)
        assert adjustment is not None, "only its key can conflict"
        creation.repeats(found)
        return adjustment

    return await database.run(work)


async def _add(
    connection: Connection, product_id: UUID, quantity: int, reason: str, creation: Creation
) -> StockAdjustment | None:
    product = (await reservations.lock_stock(connection, [product_id])).get(product_id)
    if product is None or not product.is_on_sale:
        raise UnknownProduct
    available = product.available + quantity
    if available < 0:
        raise StockTooLow(f"There are {product.available} left.", available=product.available)
    adjustment = await stock.insert_adjustment(
        connection, creation, product_id=product_id, quantity=quantity, reason=reason, available=available
    )
    if adjustment is None:
        return None
    await stock.set_available(connection, product_id, available)
    await journal.append(connection, [events.stock_adjusted(adjustment)])
    return adjustment
