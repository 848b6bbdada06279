"""Reads JSON without the leniences that let one document mean two things.

RFC 8259 leaves duplicate keys to the reader, and readers differ: one service checks the first value and another acts
on the last. So duplicates are refused, as are NaN and Infinity, nesting over 32 and text that PostgreSQL cannot keep.
"""

import json
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


def _refuse_deep_nesting(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return
    depth, in_text, escaped = 0, False, False
    for byte in body:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # backslash
                escaped = True
            elif byte == 0x22:  # quotation mark
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in b"{[":
            depth += 1
            if depth > DEPTH_MAX:
                raise Malformed(f"The request body is nested more than {DEPTH_MAX} deep.")
        elif byte in b"}]":
            depth -= 1


def _refuse_unsound(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"The request body is no JSON: {error}.") from None
    if b"\\u" in body and b"\\u0000" in body:
        # May also be an escaped backslash before "u0000"; only then is it worth a closer look.
        _refuse_null_characters(json.loads(body))


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
