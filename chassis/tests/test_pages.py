"""A cursor comes back as the key that it was made of, and nothing else is taken for one."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.pages import cursor_of, key_of
from chassis.problems import Invalid

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


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Invalid):
        key_of(cursor_of("name"), Key)
