"""The statements about products."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg
import msgspec

from catalog.creation import Creation
from catalog.domain.product import NewProduct, Product, ProductSummary
from catalog.errors import SkuTaken
from chassis.persistence.database import Connection, Row
from chassis.values.money import is_currency

PRODUCT_COLUMNS = """
    products.id, products.sku, products.name, products.description, categories.name AS category, products.price_minor,
    products.currency, products.attributes, stock.available, products.version, products.created_at, products.updated_at
"""
FROM_PRODUCTS = """
    FROM products
    LEFT JOIN categories ON categories.id = products.category_id
    JOIN stock ON stock.product_id = products.id
"""


async def has_products(connection: Connection) -> bool:
    """Whether the catalog ever had a product: deleted ones count."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM products)"))


async def lock_table(connection: Connection) -> None:
    """Keep other transactions from writing products until the end of this one."""
    await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")


async def read_product(connection: Connection, product_id: UUID, *, include_deleted: bool = False) -> Product | None:
    """The product, or None for an unknown or deleted one."""
    row = await connection.fetchrow(
        f"SELECT {PRODUCT_COLUMNS} {FROM_PRODUCTS} WHERE products.id = $1 AND (products.deleted_at IS NULL OR $2)",
        product_id,
        include_deleted,
    )
    return None if row is None else product_from_row(row)


async def read_summaries(connection: Connection, product_ids: Sequence[UUID]) -> list[ProductSummary]:
    """The products that are on sale, and whose currency is one."""
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
        ProductSummary(
            id=row["id"],
            sku=row["sku"],
            name=row["name"],
            price_minor=row["price_minor"],
            currency=row["currency"],
            stock=row["available"],
        )
        for row in rows
        if is_currency(row["currency"])
    ]


async def find_creation(connection: Connection, creation: Creation) -> Creation | None:
    """The creation of the product with this id or this key."""
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
    connection: Connection, product: NewProduct, category_id: UUID | None, creation: Creation
) -> bool:
    """Add a product and its stock. False when its SKU or its key is taken."""
    added = await connection.fetchval(
        """
        INSERT INTO products (
            id, sku, name, description, category_id, price_minor, currency, attributes, created_by,
            idempotency_key, request_fingerprint
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        creation.id,
        product.sku,
        product.name,
        product.description,
        category_id,
        product.price_minor,
        product.currency,
        msgspec.json.encode(product.attributes).decode(),
        creation.created_by,
        creation.key,
        creation.fingerprint,
    )
    if added is None:
        return False
    await connection.execute("INSERT INTO stock (product_id, available) VALUES ($1, $2)", creation.id, product.stock)
    return True


async def lock_product(connection: Connection, product_id: UUID) -> None:
    """Keep other transactions from changing the product until the end of this one."""
    await connection.execute("SELECT id FROM products WHERE id = $1 FOR NO KEY UPDATE", product_id)


async def update_product(connection: Connection, product: Product, category_id: UUID | None) -> Product:
    """Write a locked product as its next version. Raises `SkuTaken`."""
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
            product.price_minor,
            product.currency,
            msgspec.json.encode(product.attributes).decode(),
        )
    except asyncpg.UniqueViolationError:
        raise SkuTaken(f"Another product has the SKU {product.sku}.") from None
    assert row is not None, "the product is locked"
    return replace(product, version=row["version"], updated_at=row["updated_at"])


async def mark_product_deleted(connection: Connection, product_id: UUID) -> int:
    """Take a locked product from sale. Returns its last version."""
    version: int | None = await connection.fetchval(
        """
        UPDATE products
        SET deleted_at = now(), updated_at = now(), version = version + 1
        WHERE id = $1 AND deleted_at IS NULL
        RETURNING version
        """,
        product_id,
    )
    assert version is not None, "the product is locked, and was on sale"
    return version


async def is_deleted(connection: Connection, product_id: UUID) -> bool:
    """Whether the product existed and was deleted."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM products WHERE id = $1 AND deleted_at IS NOT NULL)", product_id
        )
    )


def product_from_row(row: Row) -> Product:
    """The product of a row with `PRODUCT_COLUMNS`."""
    return Product(
        id=row["id"],
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        price_minor=row["price_minor"],
        currency=row["currency"],
        attributes=msgspec.json.decode(row["attributes"]),
        stock=row["available"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
