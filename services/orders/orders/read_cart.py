"""Reads the cart with current prices."""

from uuid import UUID

from chassis.persistence.database import Database
from chassis.problems import OutcomeUnknown
from chassis.web.client import PeerUnavailable
from orders import store
from orders.clients.catalog import Catalog
from orders.domain.cart import Cart, CartItem


async def read_cart(database: Database, catalog: Catalog, user_id: UUID) -> Cart:
    """The cart. It has no prices while catalog is not available."""
    lines = await database.read(lambda connection: store.carts.cart(connection, user_id))
    try:
        products = await catalog.products([line.product_id for line in lines])
    except (PeerUnavailable, OutcomeUnknown):
        return Cart(tuple(CartItem(line.product_id, line.quantity) for line in lines), has_prices=False)
    items = tuple(CartItem(line.product_id, line.quantity, products.get(line.product_id)) for line in lines)
    return Cart(items, has_prices=True)
