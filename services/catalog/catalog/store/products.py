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
from chassis.persistence.statements import Statement
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


_HAS_PRODUCTS = Statement("SELECT EXISTS (SELECT FROM products)")
_LOCK_TABLE = Statement("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")
_READ = Statement(
    f"SELECT {PRODUCT_COLUMNS} {FROM_PRODUCTS}"
    "WHERE products.id = :id AND (products.deleted_at IS NULL OR :include_deleted)"
)
_READ_SUMMARIES = Statement(
    """
    SELECT products.id, products.sku, products.name, products.price_minor, products.currency, stock.available AS stock
    FROM products
    JOIN stock ON stock.product_id = products.id
    WHERE products.id = ANY (:ids::uuid[])
      AND products.deleted_at IS NULL
    ORDER BY products.id
    """
)
_FIND_CREATION = Statement(
    """
    SELECT id, created_by, idempotency_key, request_fingerprint
    FROM products
    WHERE id = :id OR (created_by = :created_by AND idempotency_key = :key)
    """
)
_INSERT = Statement(
    """
    INSERT INTO products (
        id, sku, name, description, category_id, price_minor, currency, attributes, created_by,
        idempotency_key, request_fingerprint
    )
    VALUES (
        :id, :sku, :name, :description, :category_id, :price_minor, :currency, :attributes, :created_by,
        :key, :fingerprint
    )
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)
_INSERT_STOCK = Statement("INSERT INTO stock (product_id, available) VALUES (:product_id, :available)")
_LOCK = Statement("SELECT id FROM products WHERE id = :id FOR NO KEY UPDATE")
_UPDATE = Statement(
    """
    UPDATE products
    SET sku = :sku, name = :name, description = :description, category_id = :category_id,
        price_minor = :price_minor, currency = :currency, attributes = :attributes,
        version = version + 1, updated_at = now()
    WHERE id = :id
    RETURNING version, updated_at
    """
)
_MARK_DELETED = Statement(
    """
    UPDATE products
    SET deleted_at = now(), updated_at = now(), version = version + 1
    WHERE id = :id AND deleted_at IS NULL
    RETURNING version
    """
)
_IS_DELETED = Statement("SELECT EXISTS (SELECT FROM products WHERE id = :id AND deleted_at IS NOT NULL)")


async def has_products(connection: Connection) -> bool:
    """Whether the catalog ever had a product: deleted ones count."""
    return bool(await _HAS_PRODUCTS.fetchval(connection))


async def lock_table(connection: Connection) -> None:
    """Keep other transactions from writing products until the end of this one."""
    await _LOCK_TABLE.execute(connection)


async def read_product(connection: Connection, product_id: UUID, *, include_deleted: bool = False) -> Product | None:
    """The product, or None for an unknown or deleted one."""
    row = await _READ.fetchrow(connection, id=product_id, include_deleted=include_deleted)
    return None if row is None else product_from_row(row)


async def read_summaries(connection: Connection, product_ids: Sequence[UUID]) -> list[ProductSummary]:
    """The products that are on sale, and whose currency is one."""
    rows = await _READ_SUMMARIES.fetch(connection, ids=product_ids)
    return [ProductSummary(**row) for row in rows if is_currency(row["currency"])]


async def find_creation(connection: Connection, creation: Creation) -> Creation | None:
    """The creation of the product with this id or this key."""
    row = await _FIND_CREATION.fetchrow(connection, id=creation.id, created_by=creation.created_by, key=creation.key)
    return None if row is None else Creation(*row)


async def insert_product(
    connection: Connection, product: NewProduct, category_id: UUID | None, creation: Creation
) -> bool:
    """Add a product and its stock. False when its SKU or its key is taken."""
    added = await _INSERT.fetchval(
        connection,
        id=creation.id,
        sku=product.sku,
        name=product.name,
        description=product.description,
        category_id=category_id,
        price_minor=product.price_minor,
        currency=product.currency,
        attributes=msgspec.json.encode(product.attributes).decode(),
        created_by=creation.created_by,
        key=creation.key,
        fingerprint=creation.fingerprint,
    )
    if added is None:
        return False
    await _INSERT_STOCK.execute(connection, product_id=creation.id, available=product.stock)
    return True


async def lock_product(connection: Connection, product_id: UUID) -> None:
    """Keep other transactions from changing the product until the end of this one."""
    await _LOCK.execute(connection, id=product_id)


async def update_product(connection: Connection, product: Product, category_id: UUID | None) -> Product:
    """Write a locked product as its next version. Raises `SkuTaken`."""
    try:
        row = await _UPDATE.fetchrow(
            connection,
            id=product.id,
            sku=product.sku,
            name=product.name,
            description=product.description,
            category_id=category_id,
            price_minor=product.price_minor,
            currency=product.currency,
            attributes=msgspec.json.encode(product.attributes).decode(),
        )
    except asyncpg.UniqueViolationError:
        raise SkuTaken(f"Another product has the SKU {product.sku}.") from None
    assert row is not None, "the product is locked"
    return replace(product, version=row["version"], updated_at=row["updated_at"])


async def mark_product_deleted(connection: Connection, product_id: UUID) -> int:
    """Take a locked product from sale. Returns its last version."""
    version: int | None = await _MARK_DELETED.fetchval(connection, id=product_id)
    assert version is not None, "the product is locked, and was on sale"
    return version


async def is_deleted(connection: Connection, product_id: UUID) -> bool:
    """Whether the product existed and was deleted."""
    return bool(await _IS_DELETED.fetchval(connection, id=product_id))


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
