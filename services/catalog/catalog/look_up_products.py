"""Reads products by id for other services."""

from collections.abc import Sequence
from uuid import UUID

from catalog.domain.product import ProductSummary
from catalog.store import products
from chassis.persistence.database import Database


async def look_up_products(database: Database, product_ids: Sequence[UUID]) -> list[ProductSummary]:
    """The products that are on sale, in the order of their ids. Other ids are left out."""
    return await database.read(lambda connection: products.read_summaries(connection, product_ids))
