"""The statements of the backfill of search documents. What a document holds: docs/decisions/0027."""

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement

_IS_COMPLETE = Statement("SELECT EXISTS (SELECT FROM search_document_backfill WHERE completed_at IS NOT NULL)")
_LOCK_POSITION = Statement("SELECT last_product_id FROM search_document_backfill WHERE completed_at IS NULL FOR UPDATE")
_ADD_PAGE = Statement(
    """
    WITH page AS MATERIALIZED (
        SELECT id, name, sku, search
        FROM products
        WHERE id > :after
        ORDER BY id
        LIMIT :limit
    ), added AS (
        INSERT INTO search_documents (product_id, document)
        SELECT id, search || names_of(name, sku)
        FROM page
        WHERE NOT EXISTS (SELECT FROM search_documents WHERE search_documents.product_id = page.id)
        ORDER BY id
        ON CONFLICT DO NOTHING
    )
    UPDATE search_document_backfill
    SET last_product_id = coalesce((SELECT id FROM page ORDER BY id DESC LIMIT 1), last_product_id),
        completed_at = CASE WHEN (SELECT count(*) FROM page) < :limit THEN now() END
    RETURNING completed_at IS NOT NULL
    """
)


async def is_backfill_complete(connection: Connection) -> bool:
    """Whether all products have a search document."""
    return bool(await _IS_COMPLETE.fetchval(connection))


async def backfill_page(connection: Connection, limit: int) -> bool:
    """Add the missing documents of the next `limit` products by id. Returns whether the backfill is complete.

    The lock on the position makes replicas take turns. A trigger writes the document of a product that changes
    meanwhile: it stays, or it replaces the one of the backfill.
    """
    after = await _LOCK_POSITION.fetchval(connection)
    if after is None:
        return True
    return bool(await _ADD_PAGE.fetchval(connection, after=after, limit=limit))
