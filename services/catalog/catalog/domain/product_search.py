"""What a client looks for among the products, in which order, and after which one it goes on."""

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from chassis.problems import Invalid
from chassis.web.pages import cursor_of, key_of


class Sort(StrEnum):
    """`relevance` needs a query; `-price` is the dearest first."""

    RELEVANCE = "relevance"
    NAME = "name"
    PRICE = "price"
    DEAREST = "-price"
    NEWEST = "newest"


MINUSES_MAX = 20
"""PostgreSQL refuses queries with 32 of them in a row."""
PARTS_MAX = 12
"""So many words, or parts of words, are looked for: each costs a look at every product that has it."""
_PART = re.compile(r"[^\W_]+")
_JOINT = re.compile(r"(?<=[^\W_])(?:[^\w\s\"]|_)+(?=[^\W_])")
_OPERATOR = re.compile(r'"|(?<!\S)-\S|(?<!\S)or(?!\S)', re.IGNORECASE)
_JOINED_AND_UNWANTED = re.compile(r"(?<!\S)-((?:[^\W_]+(?:[^\w\s\"]|_)+)+[^\W_]+)")

# The id makes places unique. What precedes the place names the search: see `_name_of`.
_Name: TypeAlias = str | list[str]
_CURSORS: dict[Sort, Any] = {
    Sort.RELEVANCE: tuple[_Name, float, UUID],
    Sort.NAME: tuple[_Name, str, UUID],
    Sort.PRICE: tuple[_Name, str, int, UUID],
    Sort.DEAREST: tuple[_Name, str, int, UUID],
    Sort.NEWEST: tuple[_Name, datetime, UUID],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSearch:
    """Filters that are None do not filter. Prices are in minor units of `currency`."""

    query: str | None = None
    whole: str | None = None
    """What was typed, of which `query` is so much as words are looked for."""
    strange: tuple[str, ...] | None = None
    """Those words of `query` that stand for similar ones; None while all words mean what they say."""
    category: str | None = None
    currency: str | None = None
    price_minor_min: int | None = None
    price_minor_max: int | None = None
    in_stock: bool | None = None
    sort: Sort
    after: tuple[Any, ...] | None = None

    @property
    def is_of_words_alone(self) -> bool:
        """Whether the query has nothing in it that asks for a phrase, for one of several words, or for none of them."""
        return self.query is not None and _OPERATOR.search(self.query) is None


def words_in(query: str | None) -> str | None:
    """What is looked for, or None for everything. More minuses than anybody means are taken for blanks, and what comes
    after the words that are looked for is left out."""
    words = unicodedata.normalize("NFC", query or "")
    parts = list(_PART.finditer(words))
    if len(parts) > PARTS_MAX:
        words = words[: parts[PARTS_MAX - 1].end()]
    if words.count("-") > MINUSES_MAX:
        words = words.replace("-", " ")
    return words.strip() or None


def taken_apart(query: str) -> str:
    """The query with single words alone: what is joined by a hyphen or the like is taken apart. What is not wanted as a
    whole stays so: `-left-handed` is `-"left handed"`."""
    pieces = query.split('"')
    pieces[::2] = [_JOINED_AND_UNWANTED.sub(r'-"\1"', piece) for piece in pieces[::2]]
    return _JOINT.sub(" ", '"'.join(pieces))


def going_on(search: ProductSearch, cursor: str | None) -> ProductSearch:
    """The search from the place on that `cursor` stands for, and by the meaning that its words had on the page before.

    Raises `Invalid` when it was given out for another order, for a search of another kind, or never.
    """
    key: tuple[Any, ...] | None = key_of(cursor, _CURSORS[search.sort])
    if key is None:
        return search
    name, *place = key
    searched = replace(search, after=tuple(place))
    if isinstance(name, list) and name[1:2] == ["meaning"]:
        searched = replace(searched, strange=tuple(name[2:]))
    if name != _name_of(searched):
        raise Invalid("The cursor was given out for another search, or for another order of the products.")
    return searched


def cursor_at(search: ProductSearch, place: tuple[Any, ...]) -> str:
    """The cursor for going on with the search after `place`."""
    return cursor_of((_name_of(search), *place))


def _name_of(search: ProductSearch) -> _Name:
    """What a cursor says of its search, so that it is never taken for a place in another one."""
    if search.query is None:
        return search.sort.value
    if search.strange is None:
        return [search.sort.value, "words"]
    return [search.sort.value, "meaning", *search.strange]
