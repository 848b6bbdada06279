"""Fills an empty catalog with a demo shop, so that a new system has products to sell.

One transaction writes all of it, and only into a catalog that never had a product. So two replicas that start at once
load one shop, and a shop that was changed or emptied stays as it is.
"""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec

from catalog.create_product import add_product
from catalog.creation import Creation
from catalog.product_fields import ProductFields
from catalog.store import categories, products
from chassis.persistence.database import Connection, Database


class DemoProduct(ProductFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product with a fixed id, so that documents and scripts can name it."""

    id: UUID


class DemoShop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file that the setting `DEMO_SHOP` names."""

    categories: list[str]
    products: Annotated[list[DemoProduct], msgspec.Meta(min_length=1)]


def read_demo_shop(path: Path) -> DemoShop:
    """The shop in the file. Raises `Invalid` for values that no product can have."""
    shop = msgspec.json.decode(path.read_bytes(), type=DemoShop)
    return msgspec.structs.replace(shop, products=[product.normalized() for product in shop.products])


async def load_demo_shop(database: Database, shop: DemoShop) -> bool:
    """Whether the shop was loaded. False for a catalog that has, or had, a product."""

    async def work(connection: Connection) -> bool:
        # Checked without the lock first: a replica that joins a running shop does not hold up its writes.
        if await products.has_products(connection):
            return False
        await products.lock_table(connection)
        if await products.has_products(connection):
            return False
        for name in shop.categories:
            if await categories.find_category(connection, name) is None:
                await categories.insert_category(connection, Creation.without_request(), name)
        for product in shop.products:
            added = await add_product(connection, product.new_product(), Creation.without_request(id_=product.id))
            assert added, f"the demo shop has {product.sku} twice"
        return True

    return await database.run(work)
