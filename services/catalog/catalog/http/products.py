"""Products: searches and reads for clients, changes by administrators, and the lookup for other services."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from catalog.change_product import change_product
from catalog.create_product import create_product
from catalog.creation import Creation
from catalog.delete_product import delete_product
from catalog.domain import product as domain
from catalog.domain.product_search import ProductSearch, Sort, searched_words
from catalog.http.schemas import ChangeProduct, CreateProduct, Product, ProductLookup, ProductSummaries, ProductSummary
from catalog.look_up_products import look_up_products
from catalog.search_products import search_products
from catalog.show_product import show_product
from chassis.persistence.database import Database
from chassis.problems import Invalid
from chassis.security import access
from chassis.values.money import Money, is_currency
from chassis.web.entity_tags import ETAG, IfMatch, Precondition, entity_tag
from chassis.web.idempotency import IdempotencyKey
from chassis.web.pages import Cursor, Limit, Page
from chassis.web.requests import CallerRequest

QUERY_CHARACTERS_MAX = 800
"""The length of a name of 200 characters in NFD, where a mark is a character of its own."""
CATEGORY_CHARACTERS_MAX = 320
Query = Annotated[
    str | None,
    QueryParameter(
        name="q",
        max_length=QUERY_CHARACTERS_MAX,
        description=(
            'Words, as in a web search: `"a phrase"`, `-without`, `or`. If they find nothing, similar words and longer '
            "words replace those that no product has."
        ),
    ),
]
CategoryFilter = Annotated[str | None, QueryParameter(name="category", max_length=CATEGORY_CHARACTERS_MAX)]
PriceMin = Annotated[
    str | None, QueryParameter(name="price_min", max_length=20, description="An amount of `currency`, as text.")
]
PriceMax = Annotated[
    str | None, QueryParameter(name="price_max", max_length=20, description="An amount of `currency`, as text.")
]
CurrencyFilter = Annotated[
    str | None,
    QueryParameter(name="currency", pattern=r"^[A-Z]{3}(?!\n)$", description="ISO 4217; with a price bound, else USD."),
]


def routes(database: Database, *, are_documents_complete: Callable[[], bool]) -> list[HTTPRouteHandler]:
    """`are_documents_complete` says whether searches can use the search documents."""
    return [*_reads(database, are_documents_complete), *_changes(database), _lookup(database)]


def _reads(database: Database, are_documents_complete: Callable[[], bool]) -> list[HTTPRouteHandler]:
    @get("/products", guards=[access.public], summary="List and search products")
    async def get_products(
        q: Query = None,
        category: CategoryFilter = None,
        price_min: PriceMin = None,
        price_max: PriceMax = None,
        currency: CurrencyFilter = None,
        in_stock: FromQuery[bool | None] = None,
        sort: FromQuery[Sort | None] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[Product]:
        """The products that are on sale: by relevance when `q` is given, else by name, unless `sort` says otherwise."""
        if currency is None and (price_min is not None or price_max is not None):
            currency = "USD"
        words = searched_words(q)
        search = ProductSearch(
            words=words,
            text=q,
            category=category,
            currency=currency,
            price_minor_min=_minor(price_min, currency),
            price_minor_max=_minor(price_max, currency),
            in_stock=in_stock,
            sort=sort or (Sort.NAME if words is None else Sort.RELEVANCE),
        )
        _check(search)
        page = await search_products(database, search, cursor, limit, in_documents=are_documents_complete())
        return page.map(Product.of)

    @get("/products/{product_id:uuid}", guards=[access.public], response_headers=[ETAG], summary="Read a product")
    async def get_product(product_id: FromPath[UUID]) -> Response[Product]:
        """One product, with its price and the quantity that can be bought. Its version, and so its `ETag`, leaves stock
        aside."""
        return _tagged(await show_product(database, product_id))

    return [get_products, get_product]


def _changes(database: Database) -> list[HTTPRouteHandler]:
    @post("/products", guards=[access.administrator], response_headers=[ETAG], summary="Create a product")
    async def post_product(
        request: CallerRequest, data: JSONBody[CreateProduct], idempotency_key: IdempotencyKey = None
    ) -> Response[Product]:
        """Add a product with its initial stock."""
        fields = data.normalized()
        creation = Creation.of(fields, request.user.user_id, idempotency_key)
        product = await create_product(database, fields.new_product(), creation)
        return _tagged(product, location=f"/products/{product.id}")

    @patch(
        "/products/{product_id:uuid}",
        guards=[access.administrator],
        response_headers=[ETAG],
        summary="Change a product",
    )
    async def patch_product(
        product_id: FromPath[UUID], data: JSONBody[ChangeProduct], if_match: IfMatch = None
    ) -> Response[Product]:
        """Change the fields that are given, and keep the others."""
        return _tagged(await change_product(database, product_id, data.changes(), Precondition.of(if_match)))

    @delete("/products/{product_id:uuid}", guards=[access.administrator], summary="Remove a product")
    async def remove_product(product_id: FromPath[UUID], if_match: IfMatch = None) -> None:
        """Take a product from sale."""
        await delete_product(database, product_id, Precondition.of(if_match))

    return [post_product, patch_product, remove_product]


def _lookup(database: Database) -> HTTPRouteHandler:
    @post(
        "/products/lookup",
        status_code=200,
        guards=[access.services("orders", "storefront")],
        summary="Look products up",
    )
    async def look_up(data: JSONBody[ProductLookup]) -> ProductSummaries:
        """The products with these ids that are on sale. Unknown ids are left out."""
        return ProductSummaries([ProductSummary.of(product) for product in await look_up_products(database, data.ids)])

    return look_up


def _check(search: ProductSearch) -> None:
    if search.sort is Sort.RELEVANCE and search.words is None:
        raise Invalid("sort: relevance needs words to search for, in q.")
    if search.currency is not None and not is_currency(search.currency):
        raise Invalid(f"currency: {search.currency} is no currency of ISO 4217.")


def _tagged(product: domain.Product, **headers: str) -> Response[Product]:
    return Response(Product.of(product), headers={"etag": entity_tag(product.version), **headers})


def _minor(amount: str | None, currency: str | None) -> int | None:
    return None if amount is None or currency is None else Money(amount, currency).minor()
