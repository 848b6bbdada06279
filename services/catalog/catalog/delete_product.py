"""Takes a product from sale. Its row stays: orders hold its stock, which they may still release."""

from uuid import UUID

from catalog import events
from catalog.errors import UnknownProduct
from catalog.store import products
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.web.entity_tags import ANY, Precondition


async def delete_product(database: Database, product_id: UUID, precondition: Precondition = ANY) -> None:
    """Delete the product; one that is deleted stays so.

    Raises `UnknownProduct` for an id that no product ever had, and `PreconditionFailed`.
    """

    async def work(connection: Connection) -> None:
        await products.lock_product(connection, product_id)
        product = await products.read_product(connection, product_id)
        if product is None:
            if not await products.is_deleted(connection, product_id):
                raise UnknownProduct
            return
        precondition.check(product.version)
        version = await products.mark_product_deleted(connection, product_id)
        await journal.append(connection, [events.product_deleted(product_id, version)])

    await database.run(work)
