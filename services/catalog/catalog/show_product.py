"""Reads one product that is on sale."""

from uuid import UUID

from catalog.domain.product import Product
from catalog.errors import UnknownProduct
from catalog.store import products
from chassis.persistence.database import Database


async def show_product(database: Database, product_id: UUID) -> Product:
    """The product. Raises `UnknownProduct`, also for a deleted one."""
    product = await database.read(lambda connection: products.read_product(connection, product_id))
    if product is None:
        raise UnknownProduct
    return product
