"""Adds a product with its first stock."""

from typing import TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from catalog import events
from catalog.creation import Creation
from catalog.errors import SkuTaken, UnknownCategory
from catalog.messages import Category, CreateProduct, Product, StockAdjustment
from catalog.product_fields import refuse_unacceptable_attributes, refuse_unacceptable_price, with_visible_text
from catalog.store import products, stock
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database

CreateProductT = TypeVar("CreateProductT", bound=CreateProduct)


async def create_product(
    database: Database, request: CreateProduct, *, created_by: UUID | None, key: str | None
) -> Product:
    """The new product; under a key that was used before for the same, the product that was made then."""
    request = acceptable(request)
    creation = Creation.of(request, created_by, key)

    async def work(connection: Connection) -> Product:
        found = await products.find_product_creation(connection, creation)
        if found is None and not await add_product(connection, creation, request):
            found = await products.find_product_creation(connection, creation)
            if found is None:
                raise SkuTaken(f"Another product has the SKU {request.sku}.")
        made = found if found is not None and creation.is_told_by(found) else creation
        product = await products.read_product(connection, made.id, deleted_too=True)
        assert product is not None, "products are never removed"
        return product

    return await database.run(work)


def acceptable(request: CreateProductT) -> CreateProductT:
    """The request with its texts in NFC. Raises `Invalid` for a product that cannot be."""
    refuse_unacceptable_price(request.price)
    refuse_unacceptable_attributes(request.attributes)
    return with_visible_text(request)


async def add_product(connection: Connection, creation: Creation, request: CreateProduct) -> bool:
    """Add it within the transaction, with the ledger's first line and the events. False when its SKU is taken."""
    category = await find_category(connection, request.category)
    if not await products.insert_product(
        connection,
        creation,
        sku=request.sku,
        name=request.name,
        description=request.description,
        category_id=None if category is None else category.id,
        price=request.price,
        attributes=request.attributes,
        stock=request.stock,
    ):
        return False
    product = await products.read_product(connection, creation.id)
    assert product is not None, "it was added just now"
    emitted = [events.product_created(product)]
    if request.stock > 0:
        emitted.append(events.stock_adjusted(await _enter_initial_stock(connection, product, creation.created_by)))
    await journal.append(connection, emitted)
    return True


async def find_category(connection: Connection, name: str | None) -> Category | None:
    """The category of a product, which may have none. Raises `UnknownCategory`."""
    if name is None:
        return None
    category = await products.find_category(connection, name)
    if category is None:
        raise UnknownCategory(f"There is no category {name}.")
    return category


async def _enter_initial_stock(connection: Connection, product: Product, created_by: UUID | None) -> StockAdjustment:
    adjustment = await stock.insert_adjustment(
        connection,
        Creation(uuid7(), created_by, None, b""),
        product_id=product.id,
        quantity=product.stock,
        reason="initial",
        available=product.stock,
    )
    assert adjustment is not None, "an entry without a key cannot be a repetition"
    return adjustment
