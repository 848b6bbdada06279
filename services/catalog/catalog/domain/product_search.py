"""The terms of a product search: words, filters, order, and the position from which a page resumes."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Sort(StrEnum):
    """`relevance` needs a query; `-price` lists the highest price first."""

    RELEVANCE = "relevance"
    NAME = "name"
    PRICE = "price"
    PRICE_DESCENDING = "-price"
    NEWEST = "newest"


MINUSES_MAX = 20
"""PostgreSQL refuses a query with 32 of them in a row."""
WORD_PARTS_MAX = 12
"""The number of words, or parts of words, in a search: each reads the index entries of all products that have it."""
_WORD_PART = re.compile(r"[^\W_]+")
_JOINT = re.compile(r"(?<=[^\W_])(?:[^\w\s\"]|_)+(?=[^\W_])")
_OPERATOR = re.compile(r'"|(?<!\S)-\S|(?<!\S)or(?!\S)', re.IGNORECASE)
_EXCLUDED_COMPOUND = re.compile(r"(?<!\S)-((?:[^\W_]+(?:[^\w\s\"]|_)+)+[^\W_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSearch:
    """Filters that are None do not filter. Prices are in minor units of `currency`."""

    words: str | None = None
    """The part of `text` that is searched, in the form of `searched_words`."""
    text: str | None = None
    """The text as the client has sent it, which may be the name of a product."""
    misspelled: tuple[str, ...] | None = None
    """The words that similar words replace; None for a search by the words as typed."""
    category: str | None = None
    currency: str | None = None
    price_minor_min: int | None = None
    price_minor_max: int | None = None
    in_stock: bool | None = None
    sort: Sort
    after: tuple[Any, ...] | None = None
    """The sort key of the last product of the page before."""

    @property
    def has_operators(self) -> bool:
        """Whether the words hold a phrase, an alternative or an exclusion."""
        return self.words is not None and _OPERATOR.search(self.words) is not None


def searched_words(text: str | None) -> str | None:
    """The words that a search uses, or None for a search without words.

    At most `WORD_PARTS_MAX` parts of words are used. If there are more than `MINUSES_MAX` minuses, each is a blank.
    """
    words = unicodedata.normalize("NFC", text or "")
    parts = list(_WORD_PART.finditer(words))
    if len(parts) > WORD_PARTS_MAX:
        words = words[: parts[WORD_PARTS_MAX - 1].end()]
    if words.count("-") > MINUSES_MAX:
        words = words.replace("-", " ")
    return words.strip() or None


def split_compounds(words: str) -> str:
    """The query with each compound, such as a hyphenated word, split into its parts.

    An excluded compound stays one phrase: `-left-handed` becomes `-"left handed"`.
    """
    pieces = words.split('"')
    pieces[::2] = [_EXCLUDED_COMPOUND.sub(r'-"\1"', piece) for piece in pieces[::2]]
    return _JOINT.sub(" ", '"'.join(pieces))
