"""What a client looks for among the products, in which order, and after which one it goes on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from chassis.pages import cursor_of, key_of
from chassis.problems import Invalid


class Sort(StrEnum):
    """`relevance` needs a query; `-price` is the dearest first."""

    RELEVANCE = "relevance"
    NAME = "name"
    PRICE = "price"
    DEAREST = "-price"
    NEWEST = "newest"


# A cursor names its order, so that it is never taken for a place in another one; the id makes places unique.
_CURSORS: dict[Sort, Any] = {
    Sort.RELEVANCE: tuple[Sort, float, UUID],
    Sort.NAME: tuple[Sort, str, UUID],
    Sort.PRICE: tuple[Sort, str, int, UUID],
    Sort.DEAREST: tuple[Sort, str, int, UUID],
    Sort.NEWEST: tuple[Sort, datetime, UUID],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSearch:
    """Filters that are None do not filter. Prices are in minor units of `currency`."""

    query: str | None = None
    category: str | None = None
    currency: str | None = None
    price_minor_min: int | None = None
    price_minor_max: int | None = None
    in_stock: bool | None = None
    sort: Sort
    after: tuple[Any, ...] | None = None


def place_in(sort: Sort, cursor: str | None) -> tuple[Any, ...] | None:
    """The place that `cursor` stands for. Raises `Invalid` when it was given out for another order, or never."""
    key: tuple[Any, ...] | None = key_of(cursor, _CURSORS[sort])
    if key is None:
        return None
    if key[0] != sort:
        raise Invalid("The cursor was given out for another order of the products.")
    return key[1:]


def cursor_at(sort: Sort, place: tuple[Any, ...]) -> str:
    """The cursor for going on after `place`."""
    return cursor_of((sort, *place))
