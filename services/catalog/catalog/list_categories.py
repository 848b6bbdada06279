"""Lists the categories, page by page."""

from catalog.domain.product import Category
from catalog.store import categories
from chassis.persistence.database import Database
from chassis.web.pages import Page, key_of, page_of


async def list_categories(database: Database, cursor: str | None, limit: int) -> Page[Category]:
    """A page of categories in the order of their names. Raises `Invalid` for an unknown cursor."""
    after = key_of(cursor, str)
    found = await database.read(lambda connection: categories.list_categories(connection, after, limit + 1))
    return page_of(found, limit, lambda category: category.name)
