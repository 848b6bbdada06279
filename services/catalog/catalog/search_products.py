"""Finds products by words and filters, page by page.

Words are searched as typed. If they find nothing, similar words replace those that no product has (decision 15).
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from catalog.domain.product import Product
from catalog.domain.product_search import ProductSearch, Sort
from catalog.store import product_search
from catalog.store.product_search import Hit, SearchQuery
from chassis.persistence.database import Connection, Database
from chassis.problems import Invalid
from chassis.web.pages import Page, key_of, page_of

_SearchKind: TypeAlias = str | list[str]
"""What a cursor says of its search, so that it is never used for another one."""
_CURSORS: dict[Sort, Any] = {
    Sort.RELEVANCE: tuple[_SearchKind, float, UUID],
    Sort.NAME: tuple[_SearchKind, str, UUID],
    Sort.PRICE: tuple[_SearchKind, str, int, UUID],
    Sort.PRICE_DESCENDING: tuple[_SearchKind, str, int, UUID],
    Sort.NEWEST: tuple[_SearchKind, datetime, UUID],
}
"""The shape of a cursor for each order: the kind of search, then the sort key, which the id makes unique."""
# Clients and older replicas hold cursors with these words.
_AS_TYPED, _CORRECTED = "words", "meaning"


async def search_products(
    database: Database, search: ProductSearch, cursor: str | None, limit: int, *, in_documents: bool
) -> Page[Product]:
    """A page of up to `limit` products. Raises `Invalid` for a cursor of another search.

    `in_documents` says whether all products have a search document, so that names are searched in any script.
    """
    search = _resume_from(search, cursor)

    async def find(connection: Connection, search: ProductSearch, query: SearchQuery | None) -> list[Hit]:
        return await product_search.search_products(connection, search, limit + 1, query, in_documents=in_documents)

    async def work(connection: Connection) -> tuple[ProductSearch, list[Hit]]:
        if search.words is None:
            return search, await find(connection, search, None)
        if search.misspelled is None:
            typed = await product_search.read_query(connection, search, in_documents=in_documents)
            hits = await find(connection, search, typed)
            if hits or search.after is not None:
                return search, hits
        misspelled, query = await product_search.read_correction(connection, search.words, search.misspelled)
        corrected = replace(search, misspelled=misspelled)
        if query is None:
            return corrected, []
        return corrected, await find(connection, corrected, SearchQuery(matches=query, ranks=query))

    searched, hits = await database.read(work)
    kind = _kind_of(searched)
    return page_of(hits, limit, lambda hit: (kind, *hit.sort_key)).map(lambda hit: hit.product)


def _resume_from(search: ProductSearch, cursor: str | None) -> ProductSearch:
    """The search from the position of `cursor` on, with the misspelled words of the page before."""
    key: tuple[Any, ...] | None = key_of(cursor, _CURSORS[search.sort])
    if key is None:
        return search
    kind, *sort_key = key
    resumed = replace(search, after=tuple(sort_key))
    if isinstance(kind, list) and kind[1:2] == [_CORRECTED]:
        resumed = replace(resumed, misspelled=tuple(kind[2:]))
    if kind != _kind_of(resumed):
        raise Invalid("The cursor belongs to another search, or to another order of the products.")
    return resumed


def _kind_of(search: ProductSearch) -> _SearchKind:
    if search.words is None:
        return search.sort.value
    if search.misspelled is None:
        return [search.sort.value, _AS_TYPED]
    return [search.sort.value, _CORRECTED, *search.misspelled]
