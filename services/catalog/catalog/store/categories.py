"""The statements about categories."""

from uuid import UUID

from catalog.creation import Creation
from catalog.domain.product import Category
from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement


def from_category_named(name: str) -> str:
    """FROM and WHERE for the category of the parameter `name`, in any case and in any form of Unicode.

    Old catalogs may have two such categories. Then it is the one with exactly this name.
    """
    return f"""
        FROM categories
        WHERE key = folded({name}) OR lower(name) = lower({name})
        ORDER BY name = {name} DESC, key IS NULL
        LIMIT 1
    """


_FIND = Statement(f"SELECT id, name, created_at {from_category_named(':name::text')}")
_READ = Statement("SELECT id, name, created_at FROM categories WHERE id = :id")
_LIST = Statement(
    """
    SELECT id, name, created_at
    FROM categories
    WHERE :after::text IS NULL OR lower(name) > lower(:after)
    ORDER BY lower(name)
    LIMIT :limit
    """
)
_FIND_CREATION = Statement(
    """
    SELECT id, created_by, idempotency_key, request_fingerprint
    FROM categories
    WHERE id = :id OR (created_by = :created_by AND idempotency_key = :key)
    """
)
_INSERT = Statement(
    """
    INSERT INTO categories (id, name, created_by, idempotency_key, request_fingerprint)
    VALUES (:id, :name, :created_by, :key, :fingerprint)
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)


async def find_category(connection: Connection, name: str) -> Category | None:
    row = await _FIND.fetchrow(connection, name=name)
    return None if row is None else Category(*row)


async def read_category(connection: Connection, category_id: UUID) -> Category:
    row = await _READ.fetchrow(connection, id=category_id)
    assert row is not None, "categories are never deleted"
    return Category(*row)


async def list_categories(connection: Connection, after: str | None, limit: int) -> list[Category]:
    """Up to `limit` categories in the order of their names, from after the name `after` on."""
    return [Category(*row) for row in await _LIST.fetch(connection, after=after, limit=limit)]


async def find_creation(connection: Connection, creation: Creation) -> Creation | None:
    """The creation of the category with this id or this key."""
    row = await _FIND_CREATION.fetchrow(connection, id=creation.id, created_by=creation.created_by, key=creation.key)
    return None if row is None else Creation(*row)


async def insert_category(connection: Connection, creation: Creation, name: str) -> bool:
    """Add a category. False when its name or its key is taken."""
    added = await _INSERT.fetchval(
        connection,
        id=creation.id,
        name=name,
        created_by=creation.created_by,
        key=creation.key,
        fingerprint=creation.fingerprint,
    )
    return added is not None
