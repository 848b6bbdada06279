"""Lists the categories, page by page."""

from catalog.domain.product import Category
from catalog.store import categories
from chassis.persistence.database import Database
from chassis.web.pages import Page, cursor_of, key_of


async def list_categories(database: Database, cursor: str | None, limit: int) -> Page[Category]:
    """A page of categories in the order of their names. Raises `Invalid` for an unknown cursor."""
    after = key_of(cursor, str)
    found = await database.read(lambda connection: categories.list_categories(connection, after, limit + 1))
    return Page(found[:limit], cursor_of(found[limit - 1].name) if len(found) > limit else None)
