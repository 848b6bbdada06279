"""Every write is done and told once, though its transaction runs a second time: the answer to COMMIT was lost."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest
from services.catalog.tests.conftest import balance_of, wanted
from uuid_utils.compat import uuid7

from catalog.adjust_stock import adjust_stock
from catalog.change_product import change_product
from catalog.create_category import create_category
from catalog.create_product import create_product
from catalog.delete_product import delete_product
from catalog.domain.reservation import Settlement
from catalog.messages import AdjustStock, ChangeProduct, CreateCategory, CreateProduct
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import Settled, release_stock
from chassis.persistence.database import Connection, Database
from chassis.values.money import Money
from chassis.web.entity_tags import Precondition

pytestmark = pytest.mark.asyncio(loop_scope="module")
ResultT = TypeVar("ResultT")


class CommitsLost:
    """A database that never hears that its first COMMIT worked, and so runs each transaction again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, work: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        await self._database.run(work)
        return await self._database.run(work)


async def test_every_write_is_done_and_told_once(database: Database) -> None:
    losing = cast("Database", CommitsLost(database))
    await create_category(losing, CreateCategory(f"C {uuid7()}"), created_by=None, key=None)
    request = CreateProduct(sku=f"S-{uuid7()}", name="Lamp", price=Money("10.00", "USD"), stock=5)
    product = await create_product(losing, request, created_by=None, key=None)
    # The second run finds less in stock than is to be taken out, and has to find that it was.
    await adjust_stock(losing, product.id, AdjustStock(quantity=-3, reason="broken"), created_by=None, key=None)
    changed = await change_product(losing, product.id, ChangeProduct(name="Better lamp"))
    assert changed.version == 2
    changed = await change_product(losing, product.id, ChangeProduct(name="Best lamp"), Precondition.of('"2"'))
    assert changed.version == 3
    orders = [wanted((product.id, 1)), wanted((product.id, 1))]
    await reserve_stock(losing, orders)
    await release_stock(losing, [Settled(orders[0].order_id, Settlement.UNDO)])
    await delete_product(losing, product.id)

    balance = await balance_of(database, product.id)
    assert (balance.adjusted, balance.available, balance.held, balance.difference) == (2, 1, 1, 0)
    told = await database.read(
        lambda connection: connection.fetch(
            "SELECT type FROM journal WHERE subject = $1 ORDER BY position", str(product.id)
        )
    )
    assert [row["type"] for row in told] == [
        "product.created",
        "stock.adjusted",
        "stock.adjusted",
        "product.updated",
        "product.updated",
        "product.deleted",
    ]
