"""A cursor comes back as the key that it was made of, and nothing else is taken for one."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.problems import Invalid
from chassis.web.pages import Page, cursor_of, key_of, page_of

Key = tuple[datetime, UUID]


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_holds_its_key(time: datetime, id_: UUID) -> None:
    assert key_of(cursor_of((time, id_)), Key) == (time, id_)


def test_the_first_page_has_no_key() -> None:
    assert key_of(None, Key) is None


@given(st.text())
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        key_of(cursor, Key)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (2**63, int),
        (("price", -(2**64), "x"), tuple[str, int, str]),
        ("0001-01-01T00:00:00+23:59", datetime),
        ("2026-01-01T00:00:00", datetime),
        (("newest", "9999-12-31T23:59:59-23:59"), tuple[str, datetime]),
    ],
)
def test_a_cursor_that_no_column_can_hold_is_refused(key: object, shape: type[object]) -> None:
    with pytest.raises(Invalid):
        key_of(cursor_of(key), shape)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Invalid):
        key_of(cursor_of("name"), Key)


@given(st.lists(st.integers(0, 2**63 - 1), unique=True).map(sorted), st.integers(1, 5))
def test_pages_hold_every_row_once_and_the_last_has_no_cursor(rows: list[int], limit: int) -> None:
    shown: list[int] = []
    cursor: str | None = None
    while True:
        after = key_of(cursor, int)
        found = [row for row in rows if after is None or row > after][: limit + 1]
        page = page_of(found, limit, lambda row: row)
        assert len(page.items) <= limit
        shown += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == limit, "only the last page holds fewer"
    assert shown == rows


def test_a_page_of_views_keeps_the_cursor_of_its_rows() -> None:
    page = page_of(["a", "b", "c"], 2, lambda row: row)
    assert page.map(str.upper) == Page(["A", "B"], cursor_of("b"))
