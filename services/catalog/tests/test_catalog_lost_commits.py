"""Every write has one effect and one event, though its transaction runs twice because a COMMIT got no answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest
from services.catalog.tests.conftest import balance_of, new_creation, new_product, stock_request
from uuid_utils.compat import uuid7

from catalog.adjust_stock import adjust_stock
from catalog.change_product import change_product
from catalog.create_category import create_category
from catalog.create_product import create_product
from catalog.delete_product import delete_product
from catalog.domain.reservation import Settlement
from catalog.release_stock import release_stock
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import SettlementRequest
from chassis.persistence.database import Connection, Database
from chassis.web.entity_tags import Precondition

pytestmark = pytest.mark.asyncio(loop_scope="module")
ResultT = TypeVar("ResultT")


class CommitsLost:
    """A database whose first COMMIT gets no answer, so that each transaction runs twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, work: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        await self._database.run(work)
        return await self._database.run(work)


async def test_every_write_has_one_effect_and_one_event(database: Database) -> None:
    losing = cast("Database", CommitsLost(database))
    await create_category(losing, f"C {uuid7()}", new_creation())
    product = await create_product(losing, new_product(stock=5), new_creation())
    # The second attempt finds less stock than the adjustment takes out, and has to find that the first one did it.
    await adjust_stock(losing, product.id, -3, "broken", new_creation())
    changed = await change_product(losing, product.id, {"name": "Better lamp"})
    assert changed.version == 2
    changed = await change_product(losing, product.id, {"name": "Best lamp"}, Precondition.of('"2"'))
    assert changed.version == 3
    orders = [stock_request((product.id, 1)), stock_request((product.id, 1))]
    await reserve_stock(losing, orders)
    await release_stock(losing, [SettlementRequest(orders[0].order_id, Settlement.UNDO)])
    await delete_product(losing, product.id)

    balance = await balance_of(database, product.id)
    assert (balance.adjusted, balance.available, balance.held, balance.difference) == (2, 1, 1, 0)
    emitted = await database.read(
        lambda connection: connection.fetch(
            "SELECT type FROM journal WHERE subject = $1 ORDER BY position", str(product.id)
        )
    )
    assert [row["type"] for row in emitted] == [
        "product.created",
        "stock.adjusted",
        "stock.adjusted",
        "product.updated",
        "product.updated",
        "product.deleted",
    ]
