"""Puts stock in or takes some out, with an entry in the ledger that says why."""

from uuid import UUID

import msgspec

from catalog import events
from catalog.creation import Creation
from catalog.errors import StockTooLow, UnknownProduct
from catalog.messages import REASON_CHARACTERS_MAX, AdjustStock, StockAdjustment
from catalog.store import reservations, stock
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.problems import Invalid
from chassis.values import visible_text


class _Adjustment(msgspec.Struct, frozen=True):
    """What makes two adjustments the same request."""

    product_id: UUID
    request: AdjustStock


async def adjust_stock(
    database: Database, product_id: UUID, request: AdjustStock, *, created_by: UUID | None, key: str | None
) -> StockAdjustment:
    """The ledger's new line; under a key that was used before for the same, the line that was written then.

    Raises `UnknownProduct`, and `StockTooLow` when there is less than is to be taken out: what is held for orders is
    theirs already.
    """
    if request.quantity == 0:
        raise Invalid("quantity: has to be other than 0.")
    reason = visible_text.line(request.reason, member="reason", characters_max=REASON_CHARACTERS_MAX)
    request = msgspec.structs.replace(request, reason=reason)
    creation = Creation.of(_Adjustment(product_id, request), created_by, key)

    async def work(connection: Connection) -> StockAdjustment:
        found, adjustment = await stock.find_adjustment(connection, creation)
        if adjustment is not None and creation.is_told_by(found):
            return adjustment
        added = await _add(connection, creation, product_id, request)
        if added is not None:
            return added
        # The key was taken since, by the same request or another one that came at the same time.
        found, adjustment = await stock.find_adjustment(connection, creation)
        assert adjustment is not None, "nothing but its key keeps an adjustment out"
        creation.is_told_by(found)
        return adjustment

    return await database.run(work)


async def _add(
    connection: Connection, creation: Creation, product_id: UUID, request: AdjustStock
) -> StockAdjustment | None:
    goods = (await reservations.lock_goods(connection, [product_id])).get(product_id)
    if goods is None or not goods.is_on_sale:
        raise UnknownProduct
    available = goods.available + request.quantity
    if available < 0:
        raise StockTooLow(f"There are {goods.available} left.", available=goods.available)
    adjustment = await stock.insert_adjustment(
        connection,
        creation,
        product_id=product_id,
        quantity=request.quantity,
        reason=request.reason,
        available=available,
    )
    if adjustment is None:
        return None
    await stock.set_available(connection, product_id, available)
    await journal.append(connection, [events.stock_adjusted(adjustment)])
    return adjustment
