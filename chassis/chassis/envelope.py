"""The form of an event on its way: CloudEvents 1.0, structured mode, with `correlationid` and `traceparent`.

`sequence` is the position in the journal of its source, so that the record can be put in order again.
"""

from datetime import datetime
from functools import cached_property
from typing import Literal, TypeVar
from uuid import UUID

import msgspec

ShapeT = TypeVar("ShapeT")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One event as consumers get it. Readers ignore members that they do not know."""

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: str
    correlationid: str
    data: msgspec.Raw
    traceparent: str | None = None
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: str = "application/json"

    @cached_property
    def body(self) -> bytes:
        """The event in JSON: byte for byte as it came, if it was decoded. No member, so it is never sent itself."""
        return encode(self)


def read(envelope: Envelope, shape: type[ShapeT]) -> ShapeT:
    """The data, as `shape`. Raises `msgspec.ValidationError` when producer and consumer have drifted apart."""
    return msgspec.json.decode(envelope.data, type=shape)


_decoder = msgspec.json.Decoder(Envelope)


def encode(envelope: Envelope) -> bytes:
    return msgspec.json.encode(envelope)


def decode(message: bytes) -> Envelope:
    """Raises `msgspec.MsgspecError` for what is no event of ours."""
    try:
        envelope = _decoder.decode(message)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    envelope.__dict__["body"] = message
    return envelope
