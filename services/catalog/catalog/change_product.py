"""Changes what is said of a product, or its price. Orders keep the price that they were reserved at."""

from uuid import UUID

import msgspec
from msgspec import UNSET

from catalog import events
from catalog.create_product import find_category
from catalog.errors import UnknownProduct
from catalog.messages import ChangeProduct, Product
from catalog.product_fields import refuse_unacceptable_attributes, refuse_unacceptable_price, with_visible_text
from catalog.store import products
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.values.money import money
from chassis.web import strict_json
from chassis.web.entity_tags import ANY, Precondition


async def change_product(
    database: Database, product_id: UUID, request: ChangeProduct, precondition: Precondition = ANY
) -> Product:
    """The product as changed, with the next version. What changes nothing makes no version and no event.

    Raises `UnknownProduct`, `PreconditionFailed`, `UnknownCategory` or `SkuTaken`.
    """
    if request.price is not UNSET:
        refuse_unacceptable_price(request.price)
    if request.attributes is not UNSET:
        refuse_unacceptable_attributes(request.attributes)
    request = with_visible_text(request)

    written: Product | None = None

    async def work(connection: Connection) -> Product:
        nonlocal written
        await products.lock_product(connection, product_id)
        product = await products.read_product(connection, product_id)
        if product is None:
            raise UnknownProduct
        if written is not None and (product.version, product.updated_at) == (written.version, written.updated_at):
            # A repeated transaction: the first COMMIT was not answered, and had worked.
            return product
        precondition.check(product.version)
        changes = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not UNSET}
        category = await find_category(connection, changes.get("category", product.category))
        if request.price is not UNSET:
            changes["price"] = money(request.price.minor(), request.price.currency)
        changes["category"] = None if category is None else category.name
        wanted = msgspec.structs.replace(product, **changes)
        if strict_json.equal(msgspec.to_builtins(wanted), msgspec.to_builtins(product)):
            return product
        changed = await products.update_product(connection, wanted, None if category is None else category.id)
        await journal.append(connection, [events.product_updated(changed)])
        written = changed
        return changed

    return await database.run(work)
