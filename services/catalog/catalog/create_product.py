"""Adds a product with its initial stock."""

from catalog import events
from catalog.creation import Creation
from catalog.domain.product import Category, NewProduct, Product
from catalog.domain.stock import StockAdjustment
from catalog.errors import SkuTaken, UnknownCategory
from catalog.store import categories, products, stock
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database


async def create_product(database: Database, new_product: NewProduct, creation: Creation) -> Product:
    """The new product; for a repeated request, the product that it created before, in its current version.

    Raises `UnknownCategory` or `SkuTaken`.
    """

    async def work(connection: Connection) -> Product:
        found = await products.find_creation(connection, creation)
        if found is None and not await add_product(connection, new_product, creation):
            found = await products.find_creation(connection, creation)
            if found is None:
                raise SkuTaken(f"Another product has the SKU {new_product.sku}.")
        created = found if found is not None and creation.repeats(found) else creation
        product = await products.read_product(connection, created.id, include_deleted=True)
        assert product is not None, "products are never removed"
        return product

    return await database.run(work)


async def add_product(connection: Connection, new_product: NewProduct, creation: Creation) -> bool:
    """Insert the product, its stock, the first ledger entry and the events. False when its SKU is taken."""
    category = await find_category(connection, new_product.category)
    category_id = None if category is None else category.id
    if not await products.insert_product(connection, new_product, category_id, creation):
        return False
    product = await products.read_product(connection, creation.id)
    assert product is not None, "it was inserted in this transaction"
    emitted = [events.product_created(product)]
    if new_product.stock > 0:
        emitted.append(events.stock_adjusted(await _add_initial_stock(connection, product, creation)))
    await journal.append(connection, emitted)
    return True


async def find_category(connection: Connection, name: str | None) -> Category | None:
    """The category of a product, or None for a product without one. Raises `UnknownCategory`."""
    if name is None:
        return None
    category = await categories.find_category(connection, name)
    if category is None:
        raise UnknownCategory(f"There is no category {name}.")
    return category


async def _add_initial_stock(connection: Connection, product: Product, creation: Creation) -> StockAdjustment:
    adjustment = await stock.insert_adjustment(
        connection,
        Creation.without_request(created_by=creation.created_by),
        product_id=product.id,
        quantity=product.stock,
        reason="initial",
        available=product.stock,
    )
    assert adjustment is not None, "an entry without a key cannot be a repetition"
    return adjustment
