"""Fills an empty catalog with a demo shop, so that a new system has something to buy.

The whole of it is one transaction, and only a catalog that never had a product is filled: two replicas that start at
once load one shop, and a shop that was changed or cleared out stays as it is.
"""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from catalog.create_product import acceptable, add_product
from catalog.creation import Creation
from catalog.messages import CreateProduct
from catalog.store import products
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Connection, Database
from chassis.problems import Unavailable

_log = structlog.get_logger()


class _DemoProduct(CreateProduct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product whose id is known beforehand, so that documents and scripts can name it."""

    id: UUID


class _DemoShop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    categories: list[str]
    products: Annotated[list[_DemoProduct], msgspec.Meta(min_length=1)]


class DemoShop:
    """A `Part`: loads the shop at the start, after the database."""

    def __init__(self, database: Database, path: str) -> None:
        self._database = database
        self._path = path

    async def start(self) -> None:
        if self._path:
            # The database was there a moment ago; should it be gone again, the service starts once it is back.
            await keep_trying("database", self._load, on=(Unavailable,))

    async def _load(self) -> None:
        shop = read_demo_shop(Path(self._path))
        if await load_demo_shop(self._database, shop):
            _log.info("the demo shop was loaded", products=len(shop.products))

    async def stop(self) -> None:
        """Nothing goes on after the start."""


def read_demo_shop(path: Path) -> _DemoShop:
    shop = msgspec.json.decode(path.read_bytes(), type=_DemoShop)
    return msgspec.structs.replace(shop, products=[acceptable(product) for product in shop.products])


async def load_demo_shop(database: Database, shop: _DemoShop) -> bool:
    """Whether it was loaded, or else the catalog was not empty."""

    async def work(connection: Connection) -> bool:
        # Looked at without the lock first: a replica that joins a running shop should keep nobody waiting.
        if await products.has_products(connection):
            return False
        await products.lock_products(connection)
        if await products.has_products(connection):
            return False
        for name in shop.categories:
            if await products.find_category(connection, name) is None:
                await products.insert_category(connection, Creation(uuid7(), None, None, b""), name)
        for product in shop.products:
            added = await add_product(connection, Creation(product.id, None, None, b""), product)
            assert added, f"the demo shop has {product.sku} twice"
        return True

    return await database.run(work)
