"""Puts products into the cart, and removes them."""

from uuid import UUID

from chassis.persistence.database import Connection, Database
from orders import store
from orders.clients.catalog import Catalog
from orders.domain.order import LINES_MAX, Line
from orders.errors import AccountDeleted, CartFull, UnknownProduct


async def put_cart_item(database: Database, catalog: Catalog, user_id: UUID, product_id: UUID, quantity: int) -> None:
    """Set the quantity of a product.

    Raises `UnknownProduct`, `CartFull`, `AccountDeleted`, or `Unavailable` when catalog is.
    """
    if not await catalog.products([product_id]):
        raise UnknownProduct

    async def put(connection: Connection) -> None:
        await store.carts.begin_change(connection, [user_id])
        # Read under the lock, which the erasure of a deleted account's cart takes too.
        if await store.customers.is_deleted(connection, user_id):
            raise AccountDeleted
        if not await store.carts.put(connection, user_id, Line(product_id, quantity), lines_max=LINES_MAX):
            raise CartFull

    await database.run(put)


async def remove_cart_items(database: Database, user_id: UUID, product_id: UUID | None = None) -> None:
    """Remove one product, or all. A product that is not in the cart is no error."""

    async def remove(connection: Connection) -> None:
        await store.carts.begin_change(connection, [user_id])
        await store.carts.remove(connection, [user_id], product_id)

    await database.run(remove)
