"""Releases the stock of orders whose checkout is undone."""

from collections.abc import Sequence

from catalog.domain.reservation import Reservation
from catalog.settle_reservations import SettlementRequest, settle_reservations
from chassis.persistence.database import Connection, Database


async def release_stock(database: Database, requests: Sequence[SettlementRequest]) -> list[Reservation]:
    """The reservation of each order afterwards, in order: `released`, or `sold` when the order was confirmed before."""

    async def work(connection: Connection) -> list[Reservation]:
        reservations = await settle_reservations(connection, requests)
        return [reservations[request.order_id] for request in requests]

    return await database.run(work)
