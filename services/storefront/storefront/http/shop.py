"""The page that lists the products, and its style sheet."""

from typing import Annotated
from urllib.parse import urlencode

from litestar import Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from chassis.problems import Refusal, Unavailable
from chassis.security import access
from chassis.web.pages import CURSOR_CHARACTERS_MAX
from storefront.clients.catalog import ProductPage
from storefront.clients.services import ServiceClients
from storefront.http.pages import READ_METHODS, STYLE_SHEET, renderer
from storefront.list_products import Search, list_products

# The bounds of catalog.
Text = Annotated[str, QueryParameter(name="q", max_length=800, description="Words to search for.")]
Category = Annotated[str, QueryParameter(name="category", max_length=320)]
Cursor = Annotated[str, QueryParameter(name="cursor", max_length=CURSOR_CHARACTERS_MAX)]


def routes(clients: ServiceClients) -> list[HTTPRouteHandler]:
    render = renderer(shop_url=_shop_url)

    @route("/", http_method=READ_METHODS, guards=[access.anyone], include_in_schema=False)
    async def shop(q: Text = "", category: Category = "", cursor: Cursor = "") -> Response[str]:
        search = Search(text=q, category=category, cursor=cursor)
        found, notice, status = ProductPage([], None), "", 200
        try:
            found = await list_products(clients, search)
        except Unavailable:
            # Answered 200: the page itself works, and after several 503 the gateway would eject the storefront.
            notice = "The products cannot be shown at the moment. Please try again in a little while."
        except Refusal as refusal:
            notice, status = f"This search is not possible: {refusal.detail}", refusal.status
        return render("shop.html", status, search=search, found=found, notice=notice)

    @route(
        "/static/style.css",
        http_method=READ_METHODS,
        guards=[access.anyone],
        include_in_schema=False,
        sync_to_thread=False,
    )
    def style_sheet() -> Response[bytes]:
        headers = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
        return Response(STYLE_SHEET, media_type="text/css", headers=headers)

    return [shop, style_sheet]


def _shop_url(search: Search, **changes: str) -> str:
    """The URL of the shop for `search` with `changes`, such as the next page or another category."""
    values = {"q": search.text, "category": search.category, "cursor": search.cursor} | changes
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/?{query}" if query else "/"
