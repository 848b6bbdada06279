"""What clients ask of products, categories and stock, and what administrators change."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from catalog import browse
from catalog.adjust_stock import adjust_stock
from catalog.change_product import change_product
from catalog.create_category import create_category
from catalog.create_product import create_product
from catalog.delete_product import delete_product
from catalog.domain.product_search import ProductSearch, Sort, going_on, words_in
from catalog.messages import (
    AdjustStock,
    Category,
    ChangeProduct,
    CreateCategory,
    CreateProduct,
    Product,
    StockAdjustment,
)
from catalog.workers.search_document_backfill import SearchDocumentBackfill
from chassis.messaging.relay import Relay
from chassis.persistence.database import Database
from chassis.problems import Invalid
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.values.money import Money, is_currency
from chassis.web.entity_tags import ETAG, IfMatch, Precondition, entity_tag
from chassis.web.idempotency import IdempotencyKey
from chassis.web.pages import Cursor, Limit, Page

AdministratorRequest = Request[Caller, Any, Any]
QUERY_CHARACTERS_MAX = 800
"""A name of 200 characters takes so many when it is typed with its marks apart (NFD)."""
CATEGORY_CHARACTERS_MAX = 320
Query = Annotated[
    str | None,
    QueryParameter(
        name="q",
        max_length=QUERY_CHARACTERS_MAX,
        description=(
            'Words, as in a web search: `"a phrase"`, `-without`, `or`. Where they find nothing, words that no product '
            "has are taken for misspelt or half-typed."
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


@get("/products", guards=[access.public])
async def get_products(
    database: NamedDependency[Database],
    search_documents: NamedDependency[SearchDocumentBackfill],
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
    query = words_in(q)
    if sort is Sort.RELEVANCE and query is None:
        raise Invalid("sort: relevance needs words to look for, in q.")
    order = sort or (Sort.NAME if query is None else Sort.RELEVANCE)
    if currency is not None and not is_currency(currency):
        raise Invalid(f"currency: {currency} is no currency of ISO 4217.")
    if currency is None and (price_min is not None or price_max is not None):
        currency = "USD"
    search = ProductSearch(
        query=query,
        whole=q,
        category=category,
        currency=currency,
        price_minor_min=_minor(price_min, currency),
        price_minor_max=_minor(price_max, currency),
        in_stock=in_stock,
        sort=order,
    )
    return await browse.search_products(
        database, going_on(search, cursor), limit, in_documents=search_documents.are_complete
    )


@get("/products/{product_id:uuid}", guards=[access.public], response_headers=[ETAG])
async def get_product(product_id: FromPath[UUID], database: NamedDependency[Database]) -> Response[Product]:
    """One product, with its price and what can still be bought. Its version, and so its `ETag`, leaves stock aside."""
    return _tagged(await browse.show_product(database, product_id))


@post("/products", guards=[access.administrator], response_headers=[ETAG])
async def post_product(
    request: AdministratorRequest,
    data: JSONBody[CreateProduct],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    idempotency_key: IdempotencyKey = None,
) -> Response[Product]:
    """Add a product with its first stock."""
    product = await create_product(database, data, created_by=request.user.user_id, key=idempotency_key)
    relay.wake()
    return _tagged(product, location=f"/products/{product.id}")


@patch("/products/{product_id:uuid}", guards=[access.administrator], response_headers=[ETAG])
async def patch_product(
    product_id: FromPath[UUID],
    data: JSONBody[ChangeProduct],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    if_match: IfMatch = None,
) -> Response[Product]:
    """Change what is given, and leave the rest."""
    product = await change_product(database, product_id, data, Precondition.of(if_match))
    relay.wake()
    return _tagged(product)


@delete("/products/{product_id:uuid}", guards=[access.administrator])
async def remove_product(
    product_id: FromPath[UUID],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    if_match: IfMatch = None,
) -> None:
    """Take a product from sale."""
    await delete_product(database, product_id, Precondition.of(if_match))
    relay.wake()


@post("/products/{product_id:uuid}/stock-adjustments", guards=[access.administrator])
async def post_adjustment(
    request: AdministratorRequest,
    product_id: FromPath[UUID],
    data: JSONBody[AdjustStock],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    idempotency_key: IdempotencyKey = None,
) -> StockAdjustment:
    """Put stock in, or take some out (negative)."""
    adjustment = await adjust_stock(database, product_id, data, created_by=request.user.user_id, key=idempotency_key)
    relay.wake()
    return adjustment


@get("/products/{product_id:uuid}/stock-adjustments", guards=[access.administrator])
async def get_adjustments(
    product_id: FromPath[UUID], database: NamedDependency[Database], limit: Limit = 20, cursor: Cursor = None
) -> Page[StockAdjustment]:
    """The stock ledger of a product, the newest entry first."""
    return await browse.list_adjustments(database, product_id, cursor, limit)


@get("/categories", guards=[access.public])
async def get_categories(
    database: NamedDependency[Database], limit: Limit = 20, cursor: Cursor = None
) -> Page[Category]:
    """The categories by name."""
    return await browse.list_categories(database, cursor, limit)


@post("/categories", guards=[access.administrator])
async def post_category(
    request: AdministratorRequest,
    data: JSONBody[CreateCategory],
    database: NamedDependency[Database],
    idempotency_key: IdempotencyKey = None,
) -> Category:
    """Add a category."""
    return await create_category(database, data, created_by=request.user.user_id, key=idempotency_key)


ROUTES = (
    get_products,
    get_product,
    post_product,
    patch_product,
    remove_product,
    post_adjustment,
    get_adjustments,
    get_categories,
    post_category,
)


def _tagged(product: Product, **headers: str) -> Response[Product]:
    return Response(product, headers={"etag": entity_tag(product.version), **headers})


def _minor(amount: str | None, currency: str | None) -> int | None:
    return None if amount is None or currency is None else Money(amount, currency).minor()
