"""The statements about reservations and the stock that they take.

Every transaction that changes stock locks in one order, or two of them could deadlock: first the orders
(`lock_orders`), then the stock rows by product id (`lock_stock`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from catalog.domain.reservation import Reservation, ReservedLine, Settlement
from catalog.domain.stock import ProductStock
from chassis.persistence.database import Connection, Row, rows_affected
from chassis.persistence.statements import Json, Statement
from chassis.values.money import is_currency

_lines = msgspec.json.Decoder(list[ReservedLine])


@dataclass(frozen=True, slots=True)
class QuantityRow:
    """A quantity of a product that is taken from the stock, or returned to it."""

    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A new reservation."""

    order_id: UUID
    lines: Json
    currency: str | None
    total_minor: int | None


@dataclass(frozen=True, slots=True)
class SettledRow:
    """The new state of a reservation."""

    order_id: UUID
    state: str
    settled_by: str | None


_LOCK_ORDERS = Statement("SELECT pg_advisory_xact_lock(number) FROM unnest(:numbers::bigint[]) AS number")
_READ = Statement(
    """
    SELECT order_id, state, lines, currency, total_minor, settled_by
    FROM reservations
    WHERE order_id = ANY (:order_ids::uuid[])
    """
)
_LOCK_STOCK = Statement(
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
    WHERE stock.product_id = ANY (:product_ids::uuid[])
    ORDER BY stock.product_id
    FOR NO KEY UPDATE OF stock
    """
)
_HOLD = Statement(
    """
    WITH lowered AS (
        UPDATE stock
        SET available = stock.available - taken.quantity
        FROM :taken
        WHERE stock.product_id = taken.product_id
          AND stock.available >= taken.quantity
        RETURNING stock.product_id
    ), inserted AS (
        INSERT INTO reservations (state, :held.*)
        SELECT 'held', held.* FROM :held
    )
    SELECT count(*) FROM lowered
    """,
    taken=QuantityRow,
    held=HeldRow,
)
_RETURN = Statement(
    """
    UPDATE stock
    SET available = stock.available + returned.quantity
    FROM :returned
    WHERE stock.product_id = returned.product_id
    """,
    returned=QuantityRow,
)
_INSERT_TOMBSTONES = Statement(
    """
    INSERT INTO reservations (:tombstones.*, settled_at)
    SELECT tombstones.*, now() FROM :tombstones
    """,
    tombstones=SettledRow,
)
_UPDATE = Statement(
    """
    UPDATE reservations
    SET state = settled.state,
        settled_at = now(),
        settled_by = settled.settled_by
    FROM :settled
    WHERE reservations.order_id = settled.order_id
      AND (
          reservations.state = 'held'
          OR (reservations.state = 'sold' AND settled.state = 'released' AND settled.settled_by = 'cancellation')
      )
    """,
    settled=SettledRow,
)


async def lock_orders(connection: Connection, order_ids: Iterable[UUID]) -> None:
    """Keep other transactions from reserving or settling for these orders until the end of this one.

    The locks are advisory, since a reservation that does not exist yet has no row to lock. The number of a lock is the
    second half of the id, which is random in UUIDv7. Two orders with the same number would only wait for each other.
    """
    numbers = sorted({int.from_bytes(order_id.bytes[8:], signed=True) for order_id in order_ids})
    await _LOCK_ORDERS.execute(connection, numbers=numbers)


async def read_reservations(connection: Connection, order_ids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """The existing reservations of these orders, by order id."""
    rows = await _READ.fetch(connection, order_ids=list(order_ids))
    return {row["order_id"]: _reservation_from_row(row) for row in rows}


async def lock_stock(connection: Connection, product_ids: Iterable[UUID]) -> dict[UUID, ProductStock]:
    """Lock the stock rows in the order of their ids. Returns the products, deleted ones too.

    A product is not on sale if its stored currency is none, or none any more: no payment can be made in it.

    The quantity is read after the lock is taken, but name and price as of the beginning of the statement. So a price
    change that commits while this statement waits applies to the next reservation.
    """
    rows = await _LOCK_STOCK.fetch(connection, product_ids=list(product_ids))
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


async def hold_stock(
    connection: Connection, reservations: Sequence[Reservation], quantities: Mapping[UUID, int]
) -> None:
    """Insert the reservations, and lower the stock of locked products by their `quantities`.

    The condition on the stock guards the allocation. The orders are locked, so an existing reservation is a bug, and
    raises.
    """
    if not reservations:
        return
    held = [
        HeldRow(
            reservation.order_id,
            msgspec.json.encode(reservation.lines).decode(),
            reservation.currency,
            reservation.total_minor,
        )
        for reservation in reservations
    ]
    lowered = await _HOLD.fetchval(connection, taken=_quantity_rows(quantities), held=held)
    assert lowered == len(quantities), "more stock was allocated than is available"


async def return_stock(connection: Connection, quantities: Mapping[UUID, int]) -> None:
    """Raise the stock of locked products."""
    if not quantities:
        return
    status = await _RETURN.execute(connection, returned=_quantity_rows(quantities))
    assert rows_affected(status) == len(quantities), "stock was returned to a product without a stock row"


async def insert_tombstones(connection: Connection, tombstones: Sequence[Reservation]) -> None:
    """Insert `released` reservations without lines, for orders that were never reserved."""
    if tombstones:
        await _INSERT_TOMBSTONES.execute(connection, tombstones=_settled_rows(tombstones))


async def update_reservations(connection: Connection, reservations: Sequence[Reservation]) -> None:
    """Write the new state of reservations whose orders are locked.

    The condition on the state guards the transition, as `Reservation.settle` has made it.
    """
    if not reservations:
        return
    status = await _UPDATE.execute(connection, settled=_settled_rows(reservations))
    assert rows_affected(status) == len(reservations), "a locked reservation was not in the expected state"


def _quantity_rows(quantities: Mapping[UUID, int]) -> list[QuantityRow]:
    return [QuantityRow(product_id, quantity) for product_id, quantity in quantities.items()]


def _settled_rows(reservations: Sequence[Reservation]) -> list[SettledRow]:
    return [SettledRow(reservation.order_id, reservation.state, reservation.settled_by) for reservation in reservations]


def _reservation_from_row(row: Row) -> Reservation:
    return Reservation(
        order_id=row["order_id"],
        state=row["state"],
        lines=_lines.decode(row["lines"]),
        currency=row["currency"],
        total_minor=row["total_minor"],
        settled_by=None if row["settled_by"] is None else Settlement(row["settled_by"]),
    )
