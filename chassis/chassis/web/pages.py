"""Cursor pages: `?limit=` and `?cursor=` in, `{"items": [...], "next_cursor": ...}` out.

A cursor is the sort key of the last item, opaque to clients. Unlike an offset it neither skips nor repeats items that
move while a client reads, and a late page costs as little as the first.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from litestar.params import QueryParameter

from chassis.problems import Invalid

INTEGER_MAX = 2**63 - 1
"""Of PostgreSQL's `bigint`."""
CURSOR_CHARACTERS_MAX = 2_500
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
ViewT = TypeVar("ViewT")

Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=100, description="How many items at the most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(name="cursor", max_length=CURSOR_CHARACTERS_MAX, description="`next_cursor` of the page before."),
]


class Page(msgspec.Struct, Generic[ItemT]):
    """One page of a list. `next_cursor` is null on the last."""

    items: list[ItemT]
    next_cursor: str | None

    def map(self, view: Callable[[ItemT], ViewT]) -> "Page[ViewT]":
        """The same page with the view of each item in its place."""
        return Page([view(item) for item in self.items], self.next_cursor)


def page_of(rows: Sequence[ItemT], limit: int, key: Callable[[ItemT], object]) -> Page[ItemT]:
    """A page of the first `limit` rows. `rows` holds up to `limit + 1`: the last one shows that there is a next page.

    `key` returns the sort key of a row, which `key_of` reads from the cursor.
    """
    items = list(rows[:limit])
    return Page(items, cursor_of(key(items[-1])) if len(rows) > limit else None)


def cursor_of(key: object) -> str:
    """The opaque form of a sort key (a value or a tuple of values)."""
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def key_of(cursor: str | None, shape: type[KeyT]) -> KeyT | None:
    """The sort key in `cursor`, or None for the first page. Raises `Invalid` when it was not made by `cursor_of`."""
    if cursor is None:
        return None
    try:
        key = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=shape)
        _check_bounds(key)
    except (binascii.Error, ValueError, OverflowError, msgspec.MsgspecError):
        raise Invalid("The cursor is none that was given out here.") from None
    return key


def _check_bounds(key: object) -> None:
    """Raises `ValueError` or `OverflowError` for what no column can hold."""
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, int) and abs(part) > INTEGER_MAX:
            raise ValueError
        if isinstance(part, datetime):
            if part.tzinfo is None:
                raise ValueError
            part.astimezone(UTC)
