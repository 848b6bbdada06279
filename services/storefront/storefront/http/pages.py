"""The pages that people read in a browser: the shop's list of products and the reference. They work without scripts."""

import hashlib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import HttpMethod, Response, route
from litestar.enums import MediaType
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler

from chassis.problems import Refusal, Unavailable
from chassis.security import access
from chassis.web.pages import CURSOR_CHARACTERS_MAX
from storefront.clients.openapi_documents import Document, OpenApiDocuments
from storefront.clients.services import Peers
from storefront.errors import NoSuchService, ReferenceUnavailable
from storefront.http.schemas import ProductPage
from storefront.list_products import Search, list_products
from storefront.reference.asyncapi import asyncapi_document
from storefront.reference.contracts import Contracts
from storefront.reference.sections import event_references, service_reference

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Browsers get pages; monitors and link checkers ask for their head. The server leaves the body out of the answer then.
_READ = [HttpMethod.GET, HttpMethod.HEAD]
_STYLE = (Path(__file__).parent / "static" / "style.css").read_bytes()
# The address changes with the content, so browsers may keep the file for ever.
_STYLE_URL = f"/static/style.css?{hashlib.sha256(_STYLE).hexdigest()[:12]}"

# As catalog bounds them.
Text = Annotated[str, QueryParameter(name="q", max_length=800, description="Words to look for.")]
Category = Annotated[str, QueryParameter(name="category", max_length=320)]
Cursor = Annotated[str, QueryParameter(name="cursor", max_length=CURSOR_CHARACTERS_MAX)]


def routes(
    peers: Peers, documents: OpenApiDocuments, contracts: Contracts, version: str
) -> list[ControllerRouterHandler]:
    templates = Environment(loader=PackageLoader("storefront.http"), autoescape=True, undefined=StrictUndefined)
    templates.globals.update(style_url=_STYLE_URL, shop_address=_shop_address)
    events = event_references(contracts)
    asyncapi = asyncapi_document(contracts, version)

    def page(template: str, status: int = 200, **values: Any) -> Response[str]:
        content = templates.get_template(template).render(**values)
        # Prices and stock are those of the moment.
        headers = {**SECURITY_HEADERS, "cache-control": "no-cache"}
        return Response(content, media_type=MediaType.HTML, status_code=status, headers=headers)

    @route("/", http_method=_READ, guards=[access.anyone], include_in_schema=False)
    async def shop(q: Text = "", category: Category = "", cursor: Cursor = "") -> Response[str]:
        search = Search(text=q, category=category, cursor=cursor)
        found, notice, status = ProductPage([], None), "", 200
        try:
            found = await list_products(peers, search)
        except Unavailable:
            # Answered 200: the page itself works, and a gateway would take a row of 503 for a broken storefront.
            notice = "The products cannot be shown at the moment. Please try again in a little while."
        except Refusal as refusal:
            notice, status = f"This search cannot be made: {refusal.detail}", refusal.status
        return page("shop.html", status, search=search, found=found, notice=notice)

    @route("/docs", http_method=_READ, guards=[access.anyone], include_in_schema=False)
    async def reference() -> Response[str]:
        services = [service_reference(name, document) for name, document in (await documents.all()).items()]
        return page("reference.html", services=services, events=events)

    @route("/docs/openapi/{file:str}", http_method=_READ, guards=[access.anyone], include_in_schema=False)
    async def openapi(file: FromPath[str]) -> Response[Document]:
        name = file.removesuffix(".json")
        try:
            document = await documents.of(name)
        except KeyError:
            raise NoSuchService from None
        if document is None:
            raise ReferenceUnavailable(f"{name} does not tell its interface at the moment.")
        return Response(document, headers={"x-content-type-options": "nosniff"})

    @route(
        "/docs/asyncapi.json", http_method=_READ, guards=[access.anyone], include_in_schema=False, sync_to_thread=False
    )
    def asyncapi_json() -> Response[Document]:
        return Response(asyncapi, headers={"x-content-type-options": "nosniff"})

    @route(
        "/static/style.css", http_method=_READ, guards=[access.anyone], include_in_schema=False, sync_to_thread=False
    )
    def style() -> Response[bytes]:
        headers = {"cache-control": "public, max-age=31536000, immutable", "x-content-type-options": "nosniff"}
        return Response(_STYLE, media_type="text/css", headers=headers)

    return [shop, reference, openapi, asyncapi_json, style]


def _shop_address(search: Search, **changes: str) -> str:
    """The address of the shop for `search` with `changes`, such as the next page or another category."""
    values = {"q": search.text, "category": search.category, "cursor": search.cursor} | changes
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/?{query}" if query else "/"
