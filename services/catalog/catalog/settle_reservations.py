"""Settles what orders hold: sold when confirmed, given back when undone or cancelled.

Guarantee: what an order took is given back at most once, in whatever order and however often the news arrive.
Broken by tests/test_stock_is_conserved.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from catalog.domain.reservation import Reservation, Settlement, given_back, is_oversold, settled
from catalog.store import reservations as store
from chassis import context
from chassis.persistence.database import Connection, Database

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an order, and whose work that is."""

    order_id: UUID
    settlement: Settlement
    correlation_id: str | None = None
    traceparent: str | None = None


async def release_stock(database: Database, undone: Sequence[Settled]) -> list[Reservation]:
    """Undo the reservations. Answers what they are now, in order: `released`, or `sold` where it was too late."""

    async def work(connection: Connection) -> list[Reservation]:
        reservations = await settle(connection, undone)
        return [reservations[item.order_id] for item in undone]

    return await database.run(work)


async def settle(connection: Connection, news: Sequence[Settled]) -> dict[UUID, Reservation]:
    """Apply `news` in their order, within the transaction. Answers the reservations as they are then."""
    order_ids = {item.order_id for item in news}
    await store.lock_orders(connection, order_ids)
    before = await store.read_reservations(connection, order_ids)
    after = dict(before)
    for item in news:
        known = after.get(item.order_id)
        if is_oversold(known, item.settlement):
            with context.working_on(item.correlation_id, item.traceparent):
                _log.error("an order was confirmed that holds no stock", order_id=str(item.order_id))
        changed = settled(item.order_id, known, item.settlement)
        if changed is not None:
            after[item.order_id] = changed
    changes = [reservation for order_id, reservation in after.items() if reservation is not before.get(order_id)]
    returned = given_back(list(before.values()), changes)
    if returned:
        await store.lock_goods(connection, returned)
        await store.give_back_stock(connection, returned)
    await store.update_reservations(connection, [change for change in changes if change.order_id in before])
    await store.insert_tombstones(connection, [change for change in changes if change.order_id not in before])
    return after
