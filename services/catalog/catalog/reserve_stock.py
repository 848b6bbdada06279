"""Reserves stock for a batch of orders: each gets all of its lines at once, or nothing and the reason.

Guarantee: never more is reserved than there is, and one order is reserved once, however often and from however many
sides it is asked for. Both locks are needed for that: the one on the order and the one on the stock.
Broken by tests/test_reserving_at_once.py. Why the batch is decided here and not in SQL: docs/decisions/0003.
"""

from collections.abc import Sequence
from uuid import UUID

from catalog.domain.reservation import Outcome, Refused, Reservation, Wanted, allot
from catalog.store import reservations as store
from chassis.persistence.database import Connection, Database


async def reserve_stock(database: Database, wishes: Sequence[Wanted]) -> list[Outcome]:
    """One outcome for each of `wishes`, in their order. An order that was reserved before gets the same again."""

    async def work(connection: Connection) -> list[Outcome]:
        return await _reserve(connection, wishes)

    return await database.run(work)


async def _reserve(connection: Connection, wishes: Sequence[Wanted]) -> list[Outcome]:
    order_ids = {wanted.order_id for wanted in wishes}
    await store.lock_orders(connection, order_ids)
    # Read only now: whoever held the lock before may have reserved or released the same order.
    known = await store.read_reservations(connection, order_ids)
    new: dict[UUID, Wanted] = {}
    for wanted in wishes:
        if wanted.order_id not in known:
            new.setdefault(wanted.order_id, wanted)
    goods = await store.lock_goods(connection, {line.product_id for wanted in new.values() for line in wanted.lines})
    allotment = allot(list(new.values()), goods)
    reservations = [outcome for outcome in allotment.outcomes if isinstance(outcome, Reservation)]
    await store.hold(connection, reservations, allotment.taken)
    outcomes = {order_id: _as_answered(reservation) for order_id, reservation in known.items()}
    outcomes |= zip(new, allotment.outcomes, strict=True)
    return [outcomes[wanted.order_id] for wanted in wishes]


def _as_answered(reservation: Reservation) -> Outcome:
    if reservation.state == "released":
        return Refused("released", "The reservation of this order was released before.")
    return reservation
