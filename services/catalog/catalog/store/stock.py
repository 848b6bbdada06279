"""The statements about the stock ledger. Those that reserve and return stock are in reservations.py."""

from uuid import UUID

from catalog.creation import Creation
from catalog.domain.stock import StockAdjustment
from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement

_FIND = Statement(
    """
    SELECT id, created_by, idempotency_key, request_fingerprint, product_id, quantity, reason, available, created_at
    FROM stock_adjustments
    WHERE id = :id OR (created_by = :created_by AND idempotency_key = :key)
    """
)
_INSERT = Statement(
    """
    INSERT INTO stock_adjustments (
        id, product_id, quantity, reason, available, created_by, idempotency_key, request_fingerprint
    )
    VALUES (:id, :product_id, :quantity, :reason, :available, :created_by, :key, :fingerprint)
    ON CONFLICT DO NOTHING
    RETURNING id, product_id, quantity, reason, available, created_by, created_at
    """
)
_SET_AVAILABLE = Statement("UPDATE stock SET available = :available WHERE product_id = :product_id")
_LIST = Statement(
    """
    SELECT id, product_id, quantity, reason, available, created_by, created_at
    FROM stock_adjustments
    WHERE product_id = :product_id
      AND (:after::uuid IS NULL OR id < :after)
    ORDER BY id DESC
    LIMIT :limit
    """
)


async def find_adjustment(
    connection: Connection, creation: Creation
) -> tuple[Creation, StockAdjustment] | tuple[None, None]:
    """The entry with this id or this key, and its creation."""
    row = await _FIND.fetchrow(connection, id=creation.id, created_by=creation.created_by, key=creation.key)
    if row is None:
        return None, None
    return Creation(*row[:4]), _adjustment_from_row(row)


async def insert_adjustment(
    connection: Connection, creation: Creation, *, product_id: UUID, quantity: int, reason: str, available: int
) -> StockAdjustment | None:
    """Add an entry to the ledger. None when its key is taken."""
    row = await _INSERT.fetchrow(
        connection,
        id=creation.id,
        product_id=product_id,
        quantity=quantity,
        reason=reason,
        available=available,
        created_by=creation.created_by,
        key=creation.key,
        fingerprint=creation.fingerprint,
    )
    return None if row is None else _adjustment_from_row(row)


async def set_available(connection: Connection, product_id: UUID, available: int) -> None:
    """Set the stock of a product that is locked."""
    await _SET_AVAILABLE.execute(connection, product_id=product_id, available=available)


async def list_adjustments(
    connection: Connection, product_id: UUID, after: UUID | None, limit: int
) -> list[StockAdjustment]:
    """Up to `limit` entries of a product, the newest first, from after the entry `after` on."""
    rows = await _LIST.fetch(connection, product_id=product_id, after=after, limit=limit)
    return [_adjustment_from_row(row) for row in rows]


def _adjustment_from_row(row: Row) -> StockAdjustment:
    return StockAdjustment(
        id=row["id"],
        product_id=row["product_id"],
        quantity=row["quantity"],
        reason=row["reason"],
        available=row["available"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )
