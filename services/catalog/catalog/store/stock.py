"""The statements about the stock ledger. Those that reserve and return stock are in reservations.py."""

from uuid import UUID

from catalog.creation import Creation
from catalog.domain.stock import StockAdjustment
from chassis.persistence.database import Connection


async def find_adjustment(
    connection: Connection, creation: Creation
) -> tuple[Creation, StockAdjustment] | tuple[None, None]:
    """The entry with this id or this key, and its creation."""
    row = await connection.fetchrow(
        """
        SELECT
            id, created_by, idempotency_key, request_fingerprint,
            product_id, quantity, reason, available, created_at
        FROM stock_adjustments
        WHERE id = $1 OR (created_by = $2 AND idempotency_key = $3)
        """,
        creation.id,
        creation.created_by,
        creation.key,
    )
    if row is None:
        return None, None
    return Creation(*row[:4]), StockAdjustment(
        id=row["id"],
        product_id=row["product_id"],
        quantity=row["quantity"],
        reason=row["reason"],
        available=row["available"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


async def insert_adjustment(
    connection: Connection, creation: Creation, *, product_id: UUID, quantity: int, reason: str, available: int
) -> StockAdjustment | None:
    """Add an entry to the ledger. None when its key is taken."""
    row = await connection.fetchrow(
        """
        INSERT INTO stock_adjustments (
            id, product_id, quantity, reason, available, created_by, idempotency_key, request_fingerprint
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT DO NOTHING
        RETURNING created_at
        """,
        creation.id,
        product_id,
        quantity,
        reason,
        available,
        creation.created_by,
        creation.key,
        creation.fingerprint,
    )
    if row is None:
        return None
    return StockAdjustment(
        id=creation.id,
        product_id=product_id,
        quantity=quantity,
        reason=reason,
        available=available,
        created_by=creation.created_by,
        created_at=row["created_at"],
    )


async def set_available(connection: Connection, product_id: UUID, available: int) -> None:
    """Set the stock of a product that is locked."""
    await connection.execute("UPDATE stock SET available = $2 WHERE product_id = $1", product_id, available)


async def list_adjustments(
    connection: Connection, product_id: UUID, after: UUID | None, limit: int
) -> list[StockAdjustment]:
    """Up to `limit` entries of a product, the newest first, from after the entry `after` on."""
    rows = await connection.fetch(
        """
        SELECT id, product_id, quantity, reason, available, created_by, created_at
        FROM stock_adjustments
        WHERE product_id = $1
          AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
        """,
        product_id,
        after,
        limit,
    )
    return [
        StockAdjustment(
            id=row["id"],
            product_id=row["product_id"],
            quantity=row["quantity"],
            reason=row["reason"],
            available=row["available"],
            created_by=row["created_by"],
            created_at=row["created_at"],
        )
        for row in rows
    ]
