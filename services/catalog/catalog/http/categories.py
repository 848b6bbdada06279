"""Categories: the list for clients, and new ones by administrators."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from catalog.create_category import create_category
from catalog.creation import Creation
from catalog.http.schemas import Category, CreateCategory
from catalog.list_categories import list_categories
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.idempotency import IdempotencyKey
from chassis.web.pages import Cursor, Limit, Page
from chassis.web.requests import CallerRequest


def routes(database: Database) -> list[HTTPRouteHandler]:
    @get("/categories", guards=[access.public], summary="List the categories")
    async def get_categories(limit: Limit = 20, cursor: Cursor = None) -> Page[Category]:
        """The categories by name."""
        page = await list_categories(database, cursor, limit)
        return page.map(Category.of)

    @post("/categories", guards=[access.administrator], summary="Create a category")
    async def post_category(
        request: CallerRequest, data: JSONBody[CreateCategory], idempotency_key: IdempotencyKey = None
    ) -> Category:
        """Add a category."""
        fields = data.normalized()
        creation = Creation.of(fields, request.user.user_id, idempotency_key)
        return Category.of(await create_category(database, fields.name, creation))

    return [get_categories, post_category]
