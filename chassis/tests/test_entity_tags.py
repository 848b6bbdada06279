"""`If-Match` is read as RFC 9110 has it, and compared strongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.problems import Malformed
from chassis.web.entity_tags import Precondition, PreconditionFailed, entity_tag


@pytest.mark.parametrize(
    "given", [None, "*", " * ", '"3"', '"1", "3"', '"1","3" , "x"', ', ,"3",', 'W/"1", "3"', '"a,b", "3"']
)
def test_a_version_that_is_named_may_be_changed(given: str | None) -> None:
    Precondition.of(given).check(3)


@pytest.mark.parametrize("given", ['"2"', '""', 'W/"3"', '"33"', '"1", "2"', '"a,3"', '"03"'])
def test_another_version_and_a_weak_tag_fail(given: str) -> None:
    with pytest.raises(PreconditionFailed) as failed:
        Precondition.of(given).check(3)
    assert (failed.value.status, failed.value.code) == (412, "precondition_failed")
    assert failed.value.extras == {"version": 3}


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        ",",
        "3",
        '"3',
        '3"',
        "'3'",
        '"3" "4"',
        '"3";',
        'w/"3"',
        '*, "3"',
        '"3", *',
        '"a b"',
        '"\x00"',
        '"\n"',
        "W/3",
        '"1"' * 400,
    ],
)
def test_what_is_no_list_of_tags_is_malformed(given: str) -> None:
    with pytest.raises(Malformed):
        Precondition.of(given)


@given(st.text(max_size=1_200))
def test_any_text_is_read_or_malformed(text: str) -> None:
    try:
        Precondition.of(text)
    except Malformed:
        return
    assert '"' in text or text.strip() == "*"


@given(st.integers(1, 2**31))
def test_a_tag_that_was_given_out_is_accepted_for_its_version_alone(version: int) -> None:
    precondition = Precondition.of(entity_tag(version))
    precondition.check(version)
    with pytest.raises(PreconditionFailed):
        precondition.check(version + 1)
