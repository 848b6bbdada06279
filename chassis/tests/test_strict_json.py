"""JSON that could mean two things is refused; everything else is read as msgspec reads it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.problems import Invalid, Malformed, Refusal
from chassis.web import strict_json
from chassis.web.strict_json import DEPTH_MAX


class Line(msgspec.Struct, forbid_unknown_fields=True):
    quantity: int
    note: str = ""


class Body(msgspec.Struct, forbid_unknown_fields=True):
    items: list[Line]


MALFORMED = {
    "an empty body": b"",
    "a body of spaces": b" \n",
    "cut-off JSON": b'{"items": [{"quantity": 1',
    "NaN": b'{"items": [{"quantity": NaN}]}',
    "Infinity": b'{"items": [{"quantity": Infinity}]}',
    "negative Infinity": b'{"items": [{"quantity": -Infinity}]}',
    "invalid UTF-8": b'{"items": [{"quantity": 1, "note": "\xff"}]}',
    "invalid UTF-8 in a field that is unknown": b'{"other": "\xff"}',
    "a surrogate in UTF-8": b'{"items": [{"quantity": 1, "note": "\xed\xa0\x80"}]}',
    "half of a surrogate pair": b'{"items": [{"quantity": 1, "note": "\\ud800"}]}',
    "a surrogate pair the wrong way round": b'{"items": [{"quantity": 1, "note": "\\udc00\\ud800"}]}',
    "a byte order mark": b'\xef\xbb\xbf{"items": []}',
    "UTF-16": '{"items": []}'.encode("utf-16"),
    "a raw control character": b'{"items": [{"quantity": 1, "note": "\x00"}]}',
    "duplicate keys": b'{"items": [], "items": []}',
    "duplicate keys deep inside": b'{"items": [{"quantity": 1, "quantity": 2}]}',
    "duplicate keys in what is unknown": b'{"other": {"a": 1, "a": 2}}',
    "duplicate keys that an escape hides": b'{"items": [{"quantity": 1, "\\u0071uantity": 2}]}',
    "a leading zero": b'{"items": [{"quantity": 01}]}',
    "a trailing comma": b'{"items": [],}',
    "single quotes": b"{'items': []}",
    "a comment": b'{"items": []} // none',
    "two documents": b'{"items": []}{"items": []}',
    "arrays nested 33 deep": b"[" * 33 + b"]" * 33,
    "objects nested 33 deep": b'{"a":' * 33 + b"1" + b"}" * 33,
    "brackets that are never closed": b"[" * 60_000,
    "brackets that are nested without end": b"[" * 30_000 + b"]" * 30_000,
    "objects that are never closed": b'{"a":' * 13_000,
}

INVALID = {
    "null": b"null",
    "an array": b"[]",
    "a string": b'"items"',
    "a field that is missing": b"{}",
    "a field that is unknown": b'{"items": [], "status": "confirmed"}',
    "an item that is no object": b'{"items": [1]}',
    "true for a number": b'{"items": [{"quantity": true}]}',
    "null for a number": b'{"items": [{"quantity": null}]}',
    "text for a number": b'{"items": [{"quantity": "2"}]}',
    "a fraction": b'{"items": [{"quantity": 1.5}]}',
    "a number beyond all": b'{"items": [{"quantity": 1e308}]}',
    "a number beyond a float": b'{"items": [{"quantity": 1e400}]}',
    "a number of 5,000 digits": b'{"items": [{"quantity": %s}]}' % (b"9" * 5_000),
    "U+0000 in text": b'{"items": [{"quantity": 1, "note": "a\\u0000b"}]}',
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_sound_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        strict_json.decode(body, Body)


@pytest.mark.parametrize("body", [body for body in MALFORMED.values() if body.strip()])
def test_what_is_no_sound_json_is_malformed_for_any_shape(body: bytes) -> None:
    with pytest.raises(Malformed):
        strict_json.decode(body, Any)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID)
def test_sound_json_of_another_shape_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        strict_json.decode(body, Body)


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(Invalid, match=r"^items\[1\]\.quantity: Expected `int`, got `str`\.$"):
        strict_json.decode(b'{"items": [{"quantity": 1}, {"quantity": "2"}]}', Body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_up_to_the_limit_is_read(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    body = opening * DEPTH_MAX + b"1" + closing * DEPTH_MAX
    assert strict_json.decode(body, Any) is not None  # type: ignore[arg-type]


def test_many_siblings_are_not_deep() -> None:
    assert len(strict_json.decode(b"[" + b'{"a": [[]]},' * 500 + b"1]", list[Any])) == 501


@pytest.mark.parametrize("text", ["[" * 100, '"' + "[{" * 50, "\\" + "[" * 100, '\\"' * 50 + "{" * 50])
def test_brackets_in_text_are_no_nesting(text: str) -> None:
    body = msgspec.json.encode({"items": [{"quantity": 1, "note": text}]})
    assert strict_json.decode(body, Body).items[0].note == text


def test_an_escaped_backslash_before_u0000_is_text() -> None:
    body = b'{"items": [{"quantity": 1, "note": "\\\\u0000"}]}'
    assert strict_json.decode(body, Body).items[0].note == "\\u0000"


_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(_documents)
def test_it_agrees_with_msgspec_on_every_sound_document(document: object) -> None:
    body = msgspec.json.encode(document)
    assert strict_json.decode(body, Any) == msgspec.json.decode(body)  # type: ignore[arg-type]


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0019ae.-tfn ', max_size=60).map(str.encode))
def test_whatever_comes_it_is_read_as_msgspec_does_or_refused(body: bytes) -> None:
    try:
        value = strict_json.decode(body, Any)  # type: ignore[arg-type]
    except Refusal:
        return
    assert value == msgspec.json.decode(body)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


def _as_typed(value: Any) -> Any:
    """`value` in tuples that name each JSON type, so that Python's own equality tells them apart."""
    if isinstance(value, dict):
        return ("object", {key: _as_typed(item) for key, item in value.items()})
    if isinstance(value, list):
        return ("array", [_as_typed(item) for item in value])
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | float):
        return ("number", value)
    return (type(value).__name__, value)


@given(_values, _values)
def test_json_values_are_equal_when_type_and_value_are(one: Any, other: Any) -> None:
    assert strict_json.equal(one, other) == (_as_typed(one) == _as_typed(other))
    assert strict_json.equal(one, msgspec.json.decode(msgspec.json.encode(one)))


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ([1], [True]), ({"a": {"b": 0}}, {"a": {"b": False}})]
)
def test_a_number_is_no_boolean_at_any_depth(one: Any, other: Any) -> None:
    assert not strict_json.equal(one, other)
    assert not strict_json.equal(other, one)


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert strict_json.equal([1, 0, 100], [1.0, -0.0, 1e2])
    assert not strict_json.equal(2**53, 2**53 + 1)
