"""The cart over HTTP."""

from uuid import UUID

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from chassis.persistence.database import Database
from chassis.security import access
from orders.clients.catalog import Catalog
from orders.fill_cart import drop_from_cart, put_in_cart, read_cart
from orders.http.orders import CallerRequest, user_id_of
from orders.http.schemas import CartView, PutCartItem


@get("/cart", guards=[access.signed_in])
async def show_cart(
    request: CallerRequest, database: NamedDependency[Database], catalog: NamedDependency[Catalog]
) -> CartView:
    """The cart, with the prices of now."""
    return await read_cart(database, catalog, user_id_of(request))


@put("/cart/items/{product_id:uuid}", guards=[access.signed_in])
async def put_item(
    request: CallerRequest,
    product_id: FromPath[UUID],
    data: JSONBody[PutCartItem],
    database: NamedDependency[Database],
    catalog: NamedDependency[Catalog],
) -> CartView:
    """Put a product into the cart, or change its quantity. Answers the cart."""
    await put_in_cart(database, catalog, user_id_of(request), product_id, data.quantity)
    return await read_cart(database, catalog, user_id_of(request))


@delete("/cart/items/{product_id:uuid}", guards=[access.signed_in])
async def drop_item(request: CallerRequest, product_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    await drop_from_cart(database, user_id_of(request), product_id)


@delete("/cart", guards=[access.signed_in])
async def empty_cart(request: CallerRequest, database: NamedDependency[Database]) -> None:
    await drop_from_cart(database, user_id_of(request), None)


ROUTES = [show_cart, put_item, drop_item, empty_cart]
