"""`Idempotency-Key`: a client that heard no answer asks again, and nothing is created twice.

The key and a fingerprint of the request are stored with what was created, under one unique index. The same key and
body give the stored answer; another body is refused. (After the IETF draft "The Idempotency-Key HTTP Header Field".)

A key belongs to its caller: the index holds the caller beside the key, so that the key of one caller neither collides
with another's nor discloses the other's answer. A write that moves money requires a key (`required_key`).
"""

import hashlib
from typing import Annotated

import msgspec
from litestar.params import HeaderParameter

from chassis.problems import KeyRequired, KeyUsedAgain, Malformed

KEY_LENGTH_MAX = 255

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="idempotency-key", required=False, description="Makes a repeated request safe; 1-255 characters."
    ),
]


RequiredIdempotencyKey = Annotated[
    str | None,
    # Not `required` for the framework, whose refusal has no code of ours: `required_key` refuses.
    HeaderParameter(
        name="idempotency-key",
        required=False,
        description="Required, since this moves money: a repeated request moves it once; 1-255 characters.",
    ),
]


def accepted_key(given: str | None) -> str | None:
    """The key as given. Raises `Malformed` for one that is empty, over-long or holds a control character."""
    if given is None:
        return None
    if not 1 <= len(given) <= KEY_LENGTH_MAX or not given.isprintable() or not given.strip():
        raise Malformed(f"Idempotency-Key has to be 1 to {KEY_LENGTH_MAX} printable characters.")
    return given


def required_key(given: str | None) -> str:
    """The key of a write that moves money. Raises `KeyRequired` without one, and `Malformed` as `accepted_key` does."""
    key = accepted_key(given)
    if key is None:
        raise KeyRequired
    return key


def fingerprint(request: msgspec.Struct) -> bytes:
    """32 bytes that tell whether two decoded requests are the same, whatever their spacing and order of keys."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()


def check_same_request(stored: bytes | None, given: bytes) -> None:
    """Raises `KeyUsedAgain` unless the fingerprint that was stored with a key is the fingerprint of this request."""
    if stored != given:
        raise KeyUsedAgain
