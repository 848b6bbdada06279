"""The statements about reservations and the stock that they take.

Every transaction that changes stock locks in one order, or two of them could deadlock: first the orders
(`lock_orders`), then the stock rows by product id (`lock_stock`).
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from catalog.domain.reservation import Reservation, ReservedLine, Settlement
from catalog.domain.stock import ProductStock
from chassis.persistence.database import Connection, Row, rows_affected
from chassis.values.money import is_currency

_lines = msgspec.json.Decoder(list[ReservedLine])


async def lock_orders(connection: Connection, order_ids: Iterable[UUID]) -> None:
    """Keep other transactions from reserving or settling for these orders until the end of this one.

    The locks are advisory, since a reservation that does not exist yet has no row to lock. The number of a lock is the
    second half of the id, which is random in UUIDv7. Two orders with the same number would only wait for each other.
    """
    numbers = sorted({int.from_bytes(order_id.bytes[8:], signed=True) for order_id in order_ids})
    await connection.execute("SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number", numbers)


async def read_reservations(connection: Connection, order_ids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """The existing reservations of these orders, by order id."""
    rows = await connection.fetch(
        """
        SELECT order_id, state, lines, currency, total_minor, settled_by
        FROM reservations
        WHERE order_id = ANY ($1::uuid[])
        """,
        list(order_ids),
    )
    return {row["order_id"]: _reservation_from_row(row) for row in rows}


async def lock_stock(connection: Connection, product_ids: Iterable[UUID]) -> dict[UUID, ProductStock]:
    """Lock the stock rows in the order of their ids. Returns the products, deleted ones too.

    A product is not on sale if its stored currency is none, or none any more: no payment can be made in it.

    The quantity is read after the lock is taken, but name and price as of the beginning of the statement. So a price
    change that commits while this statement waits applies to the next reservation.
    """
    rows = await connection.fetch(
        """
        SELECT
            stock.product_id,
            products.name,
            products.price_minor,
            products.currency,
            stock.available,
            products.deleted_at IS NULL AS is_on_sale
        FROM stock
        JOIN products ON products.id = stock.product_id
        WHERE stock.product_id = ANY ($1::uuid[])
        ORDER BY stock.product_id
        FOR NO KEY UPDATE OF stock
        """,
        list(product_ids),
    )
    return {
        row["product_id"]: ProductStock(
            product_id=row["product_id"],
            name=row["name"],
            unit_price_minor=row["price_minor"],
            currency=row["currency"],
            available=row["available"],
            is_on_sale=row["is_on_sale"] and is_currency(row["currency"]),
        )
        for row in rows
    }


_HOLD_STOCK = """
    WITH lowered AS (
        UPDATE stock
        SET available = stock.available - taken.quantity
        FROM unnest($1::uuid[], $2::bigint[]) AS taken (product_id, quantity)
        WHERE stock.product_id = taken.product_id
          AND stock.available >= taken.quantity
        RETURNING stock.product_id
    ), held AS (
        INSERT INTO reservations (order_id, state, lines, currency, total_minor)
        SELECT reserved.order_id, 'held', reserved.lines::jsonb, reserved.currency, reserved.total_minor
        FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[])
             AS reserved (order_id, lines, currency, total_minor)
    )
    SELECT count(*) FROM lowered
"""


async def hold_stock(
    connection: Connection, reservations: Sequence[Reservation], quantities: Mapping[UUID, int]
) -> None:
    """Insert the reservations, and lower the stock of locked products by their `quantities`.

    The condition on the stock guards the allocation. The orders are locked, so an existing reservation is a bug, and
    raises.
    """
    if not reservations:
        return
    lowered = await connection.fetchval(
        _HOLD_STOCK,
        list(quantities.keys()),
        list(quantities.values()),
        [reservation.order_id for reservation in reservations],
        [msgspec.json.encode(reservation.lines).decode() for reservation in reservations],
        [reservation.currency for reservation in reservations],
        [reservation.total_minor for reservation in reservations],
    )
    assert lowered == len(quantities), "more stock was allocated than is available"


async def return_stock(connection: Connection, quantities: Mapping[UUID, int]) -> None:
    """Raise the stock of locked products."""
    if not quantities:
        return
    status = await connection.execute(
        """
        UPDATE stock
        SET available = stock.available + returned.quantity
        FROM unnest($1::uuid[], $2::bigint[]) AS returned (product_id, quantity)
        WHERE stock.product_id = returned.product_id
        """,
        list(quantities.keys()),
        list(quantities.values()),
    )
    assert rows_affected(status) == len(quantities), "stock was returned to a product without a stock row"


async def insert_tombstones(connection: Connection, tombstones: Sequence[Reservation]) -> None:
    """Insert `released` reservations without lines, for orders that were never reserved."""
    if not tombstones:
        return
    await connection.execute(
        """
        INSERT INTO reservations (order_id, state, settled_at, settled_by)
        SELECT tombstone.order_id, 'released', now(), tombstone.settled_by
        FROM unnest($1::uuid[], $2::text[]) AS tombstone (order_id, settled_by)
        """,
        [tombstone.order_id for tombstone in tombstones],
        [tombstone.settled_by for tombstone in tombstones],
    )


async def update_reservations(connection: Connection, reservations: Sequence[Reservation]) -> None:
    """Write the new state of reservations whose orders are locked.

    The condition on the state guards the transition, as `Reservation.settle` has made it.
    """
    if not reservations:
        return
    status = await connection.execute(
        """
        UPDATE reservations
        SET state = settled.state,
            settled_at = now(),
            settled_by = settled.settled_by
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS settled (order_id, state, settled_by)
        WHERE reservations.order_id = settled.order_id
          AND (
              reservations.state = 'held'
              OR (reservations.state = 'sold' AND settled.state = 'released' AND settled.settled_by = 'cancellation')
          )
        """,
        [reservation.order_id for reservation in reservations],
        [reservation.state for reservation in reservations],
        [reservation.settled_by for reservation in reservations],
    )
    assert rows_affected(status) == len(reservations), "a locked reservation was not in the expected state"


def _reservation_from_row(row: Row) -> Reservation:
    return Reservation(
        order_id=row["order_id"],
        state=row["state"],
        lines=_lines.decode(row["lines"]),
        currency=row["currency"],
        total_minor=row["total_minor"],
        settled_by=None if row["settled_by"] is None else Settlement(row["settled_by"]),
    )
