"""`Idempotency-Key`: a client that heard no answer asks again, and nothing is created twice.

The key and a fingerprint of the request are stored with what was created, under one unique index. The same key and
body give the stored answer; another body is refused. (After the IETF draft "The Idempotency-Key HTTP Header Field".)
"""

import hashlib
from typing import Annotated

import msgspec
from litestar.params import HeaderParameter

from chassis.problems import Malformed

KEY_LENGTH_MAX = 255

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="idempotency-key", required=False, description="Makes a repeated request safe; 1-255 characters."
    ),
]


def accepted_key(given: str | None) -> str | None:
    """The key as given. Raises `Malformed` for one that is empty, over-long or holds a control character."""
    if given is None:
        return None
    if not 1 <= len(given) <= KEY_LENGTH_MAX or not given.isprintable() or not given.strip():
        raise Malformed(f"Idempotency-Key has to be 1 to {KEY_LENGTH_MAX} printable characters.")
    return given


def fingerprint(request: msgspec.Struct) -> bytes:
    """32 bytes that tell whether two decoded requests are the same, whatever their spacing and order of keys."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
