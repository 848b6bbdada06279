"""Adds a category."""

from uuid import UUID

import msgspec

from catalog.creation import Creation
from catalog.errors import CategoryExists
from catalog.messages import Category, CreateCategory
from catalog.product_fields import category_name
from catalog.store import products
from chassis.persistence.database import Connection, Database


async def create_category(
    database: Database, request: CreateCategory, *, created_by: UUID | None, key: str | None
) -> Category:
    """The new category; under a key that was used before for the same, the one made then. Raises `CategoryExists`."""
    request = msgspec.structs.replace(request, name=category_name(request.name))
    creation = Creation.of(request, created_by, key)

    async def work(connection: Connection) -> Category:
        found = await products.find_category_creation(connection, creation)
        if found is None and not await products.insert_category(connection, creation, request.name):
            found = await products.find_category_creation(connection, creation)
            if found is None:
                raise CategoryExists(f"There is a category {request.name} already.")
        made = found if found is not None and creation.is_told_by(found) else creation
        return await products.read_category(connection, made.id)

    return await database.run(work)
