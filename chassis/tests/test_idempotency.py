"""Which keys are taken, and when two requests are the same."""

from typing import Any

import msgspec
import pytest

from chassis.problems import KeyRequired, KeyUsedAgain, Malformed
from chassis.web.idempotency import KEY_LENGTH_MAX, accepted_key, check_same_request, fingerprint, required_key


class Purchase(msgspec.Struct):
    product: str
    quantity: int
    labels: dict[str, str] = {}


class Described(msgspec.Struct):
    attributes: dict[str, Any]


@pytest.mark.parametrize("key", [None, "1", "a" * KEY_LENGTH_MAX, "with space", "clé"])
def test_a_proper_key_is_taken_as_it_is(key: str | None) -> None:
    assert accepted_key(key) == key


@pytest.mark.parametrize("key", ["", " ", "a" * (KEY_LENGTH_MAX + 1), "a\x00b", "a\nb", "\x7f"])
def test_an_empty_or_over_long_key_or_one_with_control_characters_is_malformed(key: str) -> None:
    with pytest.raises(Malformed):
        accepted_key(key)


def test_a_required_key_is_refused_when_it_is_missing_and_when_it_is_malformed() -> None:
    assert required_key("once") == "once"
    with pytest.raises(KeyRequired):
        required_key(None)
    with pytest.raises(Malformed, match="printable"):
        required_key(" ")


def test_the_same_request_written_otherwise_has_the_same_fingerprint() -> None:
    one = msgspec.json.decode(b'{"product":"a","quantity":1,"labels":{"x":"1","y":"2"}}', type=Purchase)
    other = msgspec.json.decode(b'{ "quantity": 1, "labels": {"y":"2", "x":"1"}, "product": "\\u0061" }', type=Purchase)
    assert fingerprint(one) == fingerprint(other)
    assert len(fingerprint(one)) == 32


def test_another_request_has_another_fingerprint() -> None:
    assert fingerprint(Purchase("a", 1)) != fingerprint(Purchase("a", 2))


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ([1], [True]), (None, 0), ("", None), ([], {}), ("1", 1), ({"a": 0}, {})]
)
def test_another_json_value_has_another_fingerprint_though_python_holds_it_for_the_same(one: Any, other: Any) -> None:
    assert fingerprint(Described({"of": one})) != fingerprint(Described({"of": other}))


def test_a_repeated_request_is_accepted_and_another_request_with_its_key_is_refused() -> None:
    stored = fingerprint(Purchase("a", 1))
    check_same_request(stored, fingerprint(Purchase("a", 1)))
    for other in (stored, None, b""):
        with pytest.raises(KeyUsedAgain):
            check_same_request(other, fingerprint(Purchase("a", 2)))
