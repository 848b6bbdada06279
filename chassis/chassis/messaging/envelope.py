"""The form of an event on its way: CloudEvents 1.0, structured mode, with `correlationid`, `traceparent`
and `actor`.

`sequence` is the position in the journal of its source, so that the record can be put in order again.

A message on the broker is one event or an array of them, the JSON batch format of CloudEvents: what a broker and its
clients cost is by the message.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec

from chassis.actor import UNKNOWN

ShapeT = TypeVar("ShapeT")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One event as consumers get it. Readers ignore members that they do not know."""

    id: UUID
    source: str
    type: str
    subject: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    sequence: str
    correlationid: str
    data: msgspec.Raw
    traceparent: str | None = None
    actor: str | None = UNKNOWN
    """In the form of `chassis.actor`. None: the service did not say, which is a mistake in it."""
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
_batch_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def encode(envelope: Envelope) -> bytes:
    return msgspec.json.encode(envelope)


def encode_batch(envelopes: Sequence[Envelope]) -> bytes:
    return msgspec.json.encode(envelopes)


def decode(event: bytes) -> Envelope:
    """Raises `msgspec.MsgspecError` for what is no event of ours."""
    try:
        envelope = _decoder.decode(event)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    envelope.__dict__["body"] = event
    return envelope


def split(message: bytes) -> list[bytes]:
    """The events in a message, each in JSON. What is no array is one event, or will turn out to be none."""
    if not message.startswith(b"["):
        return [message]
    try:
        return [bytes(event) for event in _batch_decoder.decode(message)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [message]
