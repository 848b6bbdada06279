"""The routes of the cart."""

from uuid import UUID

from litestar import delete, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.requests import CallerRequest, user_id_of
from orders.change_cart import put_cart_item, remove_cart_items
from orders.clients.catalog import Catalog
from orders.http.schemas import CartView, PutCartItem, cart_view_of
from orders.read_cart import read_cart


def routes(database: Database, catalog: Catalog) -> list[HTTPRouteHandler]:
    @get("/cart", guards=[access.signed_in], summary="Read your cart")
    async def show_cart(request: CallerRequest) -> CartView:
        """The cart, with the prices of now."""
        return cart_view_of(await read_cart(database, catalog, user_id_of(request)))

    @put("/cart/items/{product_id:uuid}", guards=[access.signed_in], summary="Put a product into the cart")
    async def put_item(request: CallerRequest, product_id: FromPath[UUID], data: JSONBody[PutCartItem]) -> CartView:
        """Put a product into the cart, or change its quantity. Answers the cart."""
        await put_cart_item(database, catalog, user_id_of(request), product_id, data.quantity)
        return cart_view_of(await read_cart(database, catalog, user_id_of(request)))

    @delete("/cart/items/{product_id:uuid}", guards=[access.signed_in], summary="Remove a product from the cart")
    async def drop_item(request: CallerRequest, product_id: FromPath[UUID]) -> None:
        await remove_cart_items(database, user_id_of(request), product_id)

    @delete("/cart", guards=[access.signed_in], summary="Empty the cart")
    async def empty_cart(request: CallerRequest) -> None:
        await remove_cart_items(database, user_id_of(request))

    return [show_cart, put_item, drop_item, empty_cart]
