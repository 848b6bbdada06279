"""The statements about reservations and the stock they take.

Every transaction that touches stock locks in one order, or two of them could wait for each other for ever: first the
orders (`lock_orders`), then the stock rows by product id (`lock_goods`).
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from catalog.domain.reservation import Goods, Reservation, ReservedLine, Settlement
from chassis.persistence.database import Connection, Row, rows_affected
from chassis.values.money import is_currency

_lines = msgspec.json.Decoder(list[ReservedLine])


async def lock_orders(connection: Connection, order_ids: Iterable[UUID]) -> None:
    """Until the end of the transaction no other one reserves, releases, sells or cancels for these orders.

    An advisory lock, since a reservation that does not exist yet has no row to lock. Its number is the second half of
    the id, which is random in UUIDv7; two orders that share it would only wait for each other.
    """
    numbers = sorted({int.from_bytes(order_id.bytes[8:], signed=True) for order_id in order_ids})
    await connection.execute("SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number", numbers)


async def read_reservations(connection: Connection, order_ids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """The reservations that there are, by order id."""
    rows = await connection.fetch(
        """
        SELECT order_id, state, lines, currency, total_minor, settled_by
        FROM reservations
        WHERE order_id = ANY ($1::uuid[])
        """,
        list(order_ids),
    )
    return {row["order_id"]: _reservation(row) for row in rows}


async def lock_goods(connection: Connection, product_ids: Iterable[UUID]) -> dict[UUID, Goods]:
    """The products as they are, deleted ones too, their stock rows locked in the order of their ids.

    A product whose stored currency is none (any more) is not on sale: no payment can be made in it.

    The stock is read after the lock was got; name and price as of the beginning of the statement, so a price change
    that commits while this waits counts as having come just after.
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
        row["product_id"]: Goods(
            product_id=row["product_id"],
            name=row["name"],
            unit_price_minor=row["price_minor"],
            currency=row["currency"],
            available=row["available"],
            is_on_sale=row["is_on_sale"] and is_currency(row["currency"]),
        )
        for row in rows
    }


_HOLD = """
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


async def hold(connection: Connection, reservations: Sequence[Reservation], quantities: Mapping[UUID, int]) -> None:
    """Keep what was reserved, and lower the stock by it: `quantities` of products that are locked.

    The condition is a guard: what was decided must hold here too. The orders are locked, so a reservation that is
    there already is a bug, and raises.
    """
    if not reservations:
        return
    lowered = await connection.fetchval(
        _HOLD,
        list(quantities.keys()),
        list(quantities.values()),
        [reservation.order_id for reservation in reservations],
        [msgspec.json.encode(reservation.lines).decode() for reservation in reservations],
        [reservation.currency for reservation in reservations],
        [reservation.total_minor for reservation in reservations],
    )
    assert lowered == len(quantities), "stock was promised that is not there"


async def give_back_stock(connection: Connection, quantities: Mapping[UUID, int]) -> None:
    """Raise the stock of products that are locked."""
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
    assert rows_affected(status) == len(quantities), "stock was given back to a product that has none"


async def insert_tombstones(connection: Connection, tombstones: Sequence[Reservation]) -> None:
    """Keep that these orders, never reserved, are released already."""
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
    """Note the new state of reservations that are locked."""
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
        """,
        [reservation.order_id for reservation in reservations],
        [reservation.state for reservation in reservations],
        [reservation.settled_by for reservation in reservations],
    )
    assert rows_affected(status) == len(reservations), "a reservation vanished while it was locked"


def _reservation(row: Row) -> Reservation:
    return Reservation(
        order_id=row["order_id"],
        state=row["state"],
        lines=_lines.decode(row["lines"]),
        currency=row["currency"],
        total_minor=row["total_minor"],
        settled_by=None if row["settled_by"] is None else Settlement(row["settled_by"]),
    )
