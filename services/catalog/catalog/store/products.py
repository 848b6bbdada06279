"""The statements about products and categories."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from catalog.creation import Creation
from catalog.errors import SkuTaken
from catalog.messages import Category, Product, ProductNow
from chassis.persistence.database import Connection, Row
from chassis.values.money import Money, is_currency, money

PRODUCT = """
    products.id, products.sku, products.name, products.description, categories.name AS category, products.price_minor,
    products.currency, products.attributes, stock.available, products.version, products.created_at, products.updated_at
"""
FROM_PRODUCTS = """
    FROM products
    LEFT JOIN categories ON categories.id = products.category_id
    JOIN stock ON stock.product_id = products.id
"""


def found_category(name: str) -> str:
    """The category that `name`, a parameter, names: in capital letters or small, and in any form of Unicode.

    Of two that were made before such names were held for the same, the one that has exactly this name.
    """
    return f"""
        FROM categories
        WHERE key = folded({name}) OR lower(name) = lower({name})
        ORDER BY name = {name} DESC, key IS NULL
        LIMIT 1
    """


async def has_products(connection: Connection) -> bool:
    """Whether there ever was a product: deleted ones count."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM products)"))


async def lock_products(connection: Connection) -> None:
    """Keep others from writing products until the end of the transaction."""
    await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")


async def read_product(connection: Connection, product_id: UUID, *, deleted_too: bool = False) -> Product | None:
    """The product, or None when there is none (any more)."""
    row = await connection.fetchrow(
        f"SELECT {PRODUCT} {FROM_PRODUCTS} WHERE products.id = $1 AND (products.deleted_at IS NULL OR $2)",
        product_id,
        deleted_too,
    )
    return None if row is None else product_of(row)


async def read_products_now(connection: Connection, product_ids: Sequence[UUID]) -> list[ProductNow]:
    """Those of the products that are on sale, in a currency that is one."""
    rows = await connection.fetch(
        """
        SELECT products.id, products.sku, products.name, products.price_minor, products.currency, stock.available
        FROM products
        JOIN stock ON stock.product_id = products.id
        WHERE products.id = ANY ($1::uuid[])
          AND products.deleted_at IS NULL
        ORDER BY products.id
        """,
        product_ids,
    )
    return [
        ProductNow(
            id=row["id"],
            sku=row["sku"],
            name=row["name"],
            price=money(row["price_minor"], row["currency"]),
            stock=row["available"],
        )
        for row in rows
        if is_currency(row["currency"])
    ]


async def find_product_creation(connection: Connection, creation: Creation) -> Creation | None:
    """What was made under this id or key before."""
    row = await connection.fetchrow(
        """
        SELECT id, created_by, idempotency_key, request_fingerprint
        FROM products
        WHERE id = $1 OR (created_by = $2 AND idempotency_key = $3)
        """,
        creation.id,
        creation.created_by,
        creation.key,
    )
    return None if row is None else Creation(*row)


async def insert_product(
    connection: Connection,
    creation: Creation,
    *,
    sku: str,
    name: str,
    description: str,
    category_id: UUID | None,
    price: Money,
    attributes: dict[str, Any],
    stock: int,
) -> bool:
    """Add a product and its stock. False when its SKU or its key is taken."""
    added = await connection.fetchval(
        """
        INSERT INTO products (
            id, sku, name, description, category_id, price_minor, currency, attributes, trigrams,
            created_by, idempotency_key, request_fingerprint
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', $9, $10, $11)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        creation.id,
        sku,
        name,
        description,
        category_id,
        price.minor(),
        price.currency,
        msgspec.json.encode(attributes).decode(),
        creation.created_by,
        creation.key,
        creation.fingerprint,
    )
    if added is None:
        return False
    await connection.execute("INSERT INTO stock (product_id, available) VALUES ($1, $2)", creation.id, stock)
    return True


async def lock_product(connection: Connection, product_id: UUID) -> None:
    """Keep others from changing the product until the end of the transaction."""
    await connection.execute("SELECT id FROM products WHERE id = $1 FOR NO KEY UPDATE", product_id)


async def update_product(connection: Connection, product: Product, category_id: UUID | None) -> Product:
    """Write a locked product with the next version. Raises `SkuTaken`."""
    try:
        row = await connection.fetchrow(
            """
            UPDATE products
            SET sku = $2, name = $3, description = $4, category_id = $5, price_minor = $6, currency = $7,
                attributes = $8, version = version + 1, updated_at = now()
            WHERE id = $1
            RETURNING version, updated_at
            """,
            product.id,
            product.sku,
            product.name,
            product.description,
            category_id,
            product.price.minor(),
            product.price.currency,
            msgspec.json.encode(product.attributes).decode(),
        )
    except asyncpg.UniqueViolationError:
        raise SkuTaken(f"Another product has the SKU {product.sku}.") from None
    assert row is not None, "the product is locked"
    return msgspec.structs.replace(product, version=row["version"], updated_at=row["updated_at"])


async def mark_product_deleted(connection: Connection, product_id: UUID) -> int:
    """Take a locked product from sale; its last version."""
    version: int | None = await connection.fetchval(
        """
        UPDATE products
        SET deleted_at = now(), updated_at = now(), version = version + 1
        WHERE id = $1 AND deleted_at IS NULL
        RETURNING version
        """,
        product_id,
    )
    assert version is not None, "the product is locked, and was there"
    return version


async def product_was_deleted(connection: Connection, product_id: UUID) -> bool:
    """Whether there was such a product once."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM products WHERE id = $1 AND deleted_at IS NOT NULL)", product_id
        )
    )


async def find_category(connection: Connection, name: str) -> Category | None:
    row = await connection.fetchrow(f"SELECT id, name, created_at {found_category('$1::text')}", name)
    return None if row is None else Category(*row)


async def read_category(connection: Connection, category_id: UUID) -> Category:
    row = await connection.fetchrow("SELECT id, name, created_at FROM categories WHERE id = $1", category_id)
    assert row is not None, "categories are never deleted"
    return Category(*row)


async def list_categories(connection: Connection, after: str | None, limit: int) -> list[Category]:
    """In the order of their names, from after the name `after` on."""
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


async def find_category_creation(connection: Connection, creation: Creation) -> Creation | None:
    """What was made under this id or key before."""
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


def product_of(row: Row) -> Product:
    return Product(
        id=row["id"],
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        price=money(row["price_minor"], row["currency"]),
        attributes=msgspec.json.decode(row["attributes"]),
        stock=row["available"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
