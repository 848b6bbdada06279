"""Adds a category."""

from catalog.creation import Creation
from catalog.domain.product import Category
from catalog.errors import CategoryExists
from catalog.store import categories
from chassis.persistence.database import Connection, Database


async def create_category(database: Database, name: str, creation: Creation) -> Category:
    """The new category; for a repeated request, the category that it created before. Raises `CategoryExists`."""

    async def work(connection: Connection) -> Category:
        found = await categories.find_creation(connection, creation)
        if found is None and not await categories.insert_category(connection, creation, name):
            found = await categories.find_creation(connection, creation)
            if found is None:
                raise CategoryExists(f"There is a category {name} already.")
        created = found if found is not None and creation.repeats(found) else creation
        return await categories.read_category(connection, created.id)

    return await database.run(work)
