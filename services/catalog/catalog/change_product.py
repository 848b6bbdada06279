"""Changes the description or the price of a product. Orders keep the price at which they were reserved."""

from dataclasses import replace
from uuid import UUID

from catalog import events
from catalog.create_product import find_category
from catalog.domain.product import Product, ProductChanges
from catalog.errors import UnknownProduct
from catalog.store import products
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.web import strict_json
from chassis.web.entity_tags import ANY, Precondition


async def change_product(
    database: Database, product_id: UUID, changes: ProductChanges, precondition: Precondition = ANY
) -> Product:
    """The changed product, with the next version. Changes to the same values make no version and no event.

    Raises `UnknownProduct`, `PreconditionFailed`, `UnknownCategory` or `SkuTaken`.
    """
    written: Product | None = None

    async def work(connection: Connection) -> Product:
        nonlocal written
        await products.lock_product(connection, product_id)
        product = await products.read_product(connection, product_id)
        if product is None:
            raise UnknownProduct
        if written is not None and (product.version, product.updated_at) == (written.version, written.updated_at):
            # The transaction is repeated: its first COMMIT got no answer, and has worked.
            return product
        precondition.check(product.version)
        category = await find_category(connection, changes.get("category", product.category))
        changed = replace(replace(product, **changes), category=None if category is None else category.name)
        if _are_equal(changed, product):
            return product
        changed = await products.update_product(connection, changed, None if category is None else category.id)
        await journal.append(connection, [events.product_updated(changed)])
        written = changed
        return changed

    return await database.run(work)


def _are_equal(product: Product, other: Product) -> bool:
    """Whether both are the same to readers of JSON, to whom the attributes `1` and `true` are two values."""
    return replace(product, attributes=other.attributes) == other and strict_json.equal(
        product.attributes, other.attributes
    )
