"""`ETag` and `If-Match`: a client that writes over a newer version than it has read gets 412, and changes nothing.

The tag is the version of the row, a strong tag. It is compared under the row's lock, in the transaction of the change
(RFC 9110, section 13.1.1). `If-Match` is optional: without it the last writer wins, as for clients that do not know it.

There is no answer 304: an answer may hold what the version leaves aside, such as the stock of a product.
"""

import re
from typing import Annotated, Self

import msgspec
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter

from chassis.problems import Malformed, Refusal

HEADER_CHARACTERS_MAX = 1_000
ETAG = ResponseHeader(name="ETag", documentation_only=True, description="The version, for `If-Match`.")
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="if-match",
        required=False,
        description='Change it only while it is as it was read: the `ETag` of that answer, such as `"3"`. Else 412.',
    ),
]
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")


class PreconditionFailed(Refusal):
    status, code, title = 412, "precondition_failed", "It has been changed since it was read."


def entity_tag(version: int) -> str:
    """The value of `ETag` for a row of that version."""
    return f'"{version}"'


class Precondition(msgspec.Struct, frozen=True):
    """What `If-Match` asks for: one of `tags`, or None for any version."""

    tags: frozenset[str] | None = None

    @classmethod
    def of(cls, if_match: str | None) -> Self:
        """Raises `Malformed` for what is neither `*` nor a list of entity tags."""
        if if_match is None or if_match.strip(" \t") == "*":
            return cls()
        if len(if_match) > HEADER_CHARACTERS_MAX or _TAGS.fullmatch(if_match) is None:
            raise Malformed('If-Match has to be * or a list of entity tags, such as "3".')
        return cls(frozenset(re.findall(_TAG, if_match)))

    def check(self, version: int) -> None:
        """Raises `PreconditionFailed` when the row has another version. A weak tag fits none: it says too little."""
        if self.tags is not None and entity_tag(version) not in self.tags:
            raise PreconditionFailed(f"It has version {version} now.", version=version)


ANY = Precondition()
