"""The cart: put, change and drop products, and read them with the prices of now."""

from uuid import UUID

from msgspec import UNSET

from chassis.persistence.database import Connection, Database
from chassis.problems import OutcomeUnknown
from chassis.values.money import MINOR_MAX, money
from chassis.web.client import PeerUnavailable
from orders import store
from orders.clients.catalog import Catalog, KnownProduct
from orders.domain.order import LINES_MAX, Line
from orders.errors import AccountDeleted, CartFull, UnknownProduct
from orders.http.schemas import CartItemView, CartView


async def put_in_cart(database: Database, catalog: Catalog, user_id: UUID, product_id: UUID, quantity: int) -> None:
    """Set the quantity of a product.

    Raises `UnknownProduct`, `CartFull`, `AccountDeleted`, or `Unavailable` when catalog is.
    """
    if product_id not in await catalog.products([product_id]):
        raise UnknownProduct

    async def put(connection: Connection) -> None:
        await store.carts.begin_change(connection, [user_id])
        # Asked under the lock, which the erasure of a deleted account's cart takes, too.
        if await store.customers.is_deleted(connection, user_id):
            raise AccountDeleted
        if not await store.carts.put(connection, user_id, Line(product_id, quantity), most=LINES_MAX):
            raise CartFull

    await database.run(put)


async def drop_from_cart(database: Database, user_id: UUID, product_id: UUID | None) -> None:
    """Take out one product, or everything. What is not there is no error."""

    async def drop(connection: Connection) -> None:
        await store.carts.begin_change(connection, [user_id])
        await store.carts.drop(connection, [user_id], product_id)

    await database.run(drop)


async def read_cart(database: Database, catalog: Catalog, user_id: UUID) -> CartView:
    """The cart. While catalog cannot be asked it is shown without prices."""
    lines = await database.read(lambda connection: store.carts.cart(connection, user_id))
    try:
        products = await catalog.products([line.product_id for line in lines])
    except (PeerUnavailable, OutcomeUnknown):
        items = [CartItemView(product_id=line.product_id, quantity=line.quantity) for line in lines]
        return CartView(items, None, "unavailable")
    items = [_item(products.get(line.product_id), line.product_id, line.quantity) for line in lines]
    totals = [item.line_total for item in items if item.line_total is not UNSET]
    currencies = {total.currency for total in totals}
    total = sum(line_total.minor() for line_total in totals)
    # A total of several currencies, of products that are gone, or beyond what can be handled, would mislead.
    sound = len(currencies) == 1 and len(totals) == len(items) and total <= MINOR_MAX
    return CartView(items, money(total, currencies.pop()) if sound else None, "current")


def _item(product: KnownProduct | None, product_id: UUID, quantity: int) -> CartItemView:
    if product is None:
        return CartItemView(product_id=product_id, quantity=quantity, stock=0)
    total = product.price.minor() * quantity
    return CartItemView(
        product_id=product_id,
        quantity=quantity,
        name=product.name,
        unit_price=product.price,
        line_total=money(total, product.price.currency) if total <= MINOR_MAX else UNSET,
        stock=product.stock,
    )
