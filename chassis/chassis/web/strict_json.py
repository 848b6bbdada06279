"""Reads JSON without the leniences that let one document mean two things.

RFC 8259 leaves duplicate keys to the reader, and readers differ: one service checks the first value and another acts
on the last. So duplicates are refused, as are NaN and Infinity, nesting over 32 and text that PostgreSQL cannot keep.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from chassis.problems import Invalid, Malformed

DEPTH_MAX = 32
ShapeT = TypeVar("ShapeT")


def decode(body: bytes, shape: type[ShapeT]) -> ShapeT:
    """Decode `body` into `shape`, with strict types.

    Raises `Malformed` (400) when it is no JSON of ours, `Invalid` (422) when it is JSON of another shape; the latter
    names the place, as in `items[0].quantity`.
    """
    if not body.strip():
        raise Malformed("The request body is empty.")
    _refuse_deep_nesting(body)
    try:
        value = msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        # The shape is wrong; but a document that is not sound at all is told first.
        _refuse_unsound(body)
        raise Invalid(_readable(str(error))) from None
    except msgspec.DecodeError as error:
        raise Malformed(f"The request body is no JSON: {error}.") from None
    except UnicodeDecodeError:
        raise Malformed("The request body is not valid UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The request body is nested more than {DEPTH_MAX} deep.") from None
    _refuse_unsound(body)
    return value


def equal(one: Any, other: Any) -> bool:
    """Whether two decoded values are the same JSON value.

    Python's `==` is not that: to it `1` is `True` and `0` is `False`, at any depth. A number is the same however it was
    written (`1` and `1.0`), as RFC 8259 and JSON Schema have it.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def _refuse_deep_nesting(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return
    if b"\\" in body:
        body = _ESCAPED.sub(b"", body)
    outside_of_text = b"".join(body.split(b'"')[::2])
    brackets = outside_of_text.translate(_AS_PARENTHESES, delete=_NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        # Each round peels the innermost level; what cannot be peeled is not balanced, and no JSON to any parser.
        peeled = brackets.replace(b"()", b"")
        if len(peeled) == len(brackets):
            return
        brackets = peeled
    if brackets:
        raise Malformed(f"The request body is nested more than {DEPTH_MAX} deep.")


_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_AS_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _refuse_unsound(body: bytes) -> None:
    try:
        value = _pedantic.decode(body.decode())
    except UnicodeDecodeError:
        raise Malformed("The request body is not valid UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The request body is no JSON: {error}.") from None
    if b"\\u0000" in body:
        # May also be an escaped backslash before "u0000", so it is worth a closer look.
        _refuse_null_characters(value)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Malformed(f"The key {key!r} stands twice in the same object.")
            seen.add(key)
    return value


def _refuse_constant(name: str) -> None:
    raise Malformed(f"{name} is no JSON.")


# Numbers stay text: their values have been judged already, and Python refuses those of more than 4,300 digits.
_pedantic = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant, parse_int=str, parse_float=str
)


def _refuse_null_characters(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid("Text must not hold the character U+0000.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_null_characters(key)
            _refuse_null_characters(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_null_characters(item)


def _readable(message: str) -> str:
    text, _, path = message.partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    return f"{place}: {text}." if place else f"{text}."
