"""The statements that keep search documents of products. What a document holds: docs/decisions/0027."""

from uuid import UUID

from chassis.persistence.database import Connection


async def add_documents(connection: Connection, after: UUID, limit: int) -> UUID | None:
    """Add the documents of up to `limit` products that lack one, from after the id `after` on; the last of their ids.

    A product that is changed meanwhile has its document by the trigger, which stays or replaces this one.
    """
    last: UUID | None = await connection.fetchval(
        """
        WITH missing AS MATERIALIZED (
            SELECT id, name, sku, search
            FROM products
            WHERE id > $1
              AND NOT EXISTS (SELECT FROM search_documents WHERE search_documents.product_id = products.id)
            ORDER BY id
            LIMIT $2
        ), added AS (
            INSERT INTO search_documents (product_id, document)
            SELECT id, search || names_of(name, sku)
            FROM missing
            ORDER BY id
            ON CONFLICT DO NOTHING
        )
        SELECT id FROM missing ORDER BY id DESC LIMIT 1
        """,
        after,
        limit,
    )
    return last
