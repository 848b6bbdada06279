"""The statements about categories."""

from uuid import UUID

from catalog.creation import Creation
from catalog.domain.product import Category
from chassis.persistence.database import Connection


def from_category_named(name: str) -> str:
    """FROM and WHERE for the category of the name in the parameter `name`, in any case and in any form of Unicode.

    Old catalogs may have two such categories. Then it is the one with exactly this name.
    """
    return f"""
        FROM categories
        WHERE key = folded({name}) OR lower(name) = lower({name})
        ORDER BY name = {name} DESC, key IS NULL
        LIMIT 1
    """


async def find_category(connection: Connection, name: str) -> Category | None:
    row = await connection.fetchrow(f"SELECT id, name, created_at {from_category_named('$1::text')}", name)
    return None if row is None else Category(*row)


async def read_category(connection: Connection, category_id: UUID) -> Category:
    row = await connection.fetchrow("SELECT id, name, created_at FROM categories WHERE id = $1", category_id)
    assert row is not None, "categories are never deleted"
    return Category(*row)


async def list_categories(connection: Connection, after: str | None, limit: int) -> list[Category]:
    """Up to `limit` categories in the order of their names, from after the name `after` on."""
    rows = await connection.fetch(
        """
        SELECT id, name, created_at
        FROM categories
        WHERE $1::text IS NULL OR lower(name) > lower($1)
        ORDER BY lower(name)
        LIMIT $2
        """,
        after,
        limit,
    )
    return [Category(*row) for row in rows]


async def find_creation(connection: Connection, creation: Creation) -> Creation | None:
    """The creation of the category with this id or this key."""
    row = await connection.fetchrow(
        """
        SELECT id, created_by, idempotency_key, request_fingerprint
        FROM categories
        WHERE id = $1 OR (created_by = $2 AND idempotency_key = $3)
        """,
        creation.id,
        creation.created_by,
        creation.key,
    )
    return None if row is None else Creation(*row)


async def insert_category(connection: Connection, creation: Creation, name: str) -> bool:
    """Add a category. False when its name or its key is taken."""
    added = await connection.fetchval(
        """
        INSERT INTO categories (id, name, created_by, idempotency_key, request_fingerprint)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        creation.id,
        name,
        creation.created_by,
        creation.key,
        creation.fingerprint,
    )
    return added is not None
