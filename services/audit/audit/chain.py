"""The hash chain: each entry holds a hash over itself and the entry before, so that no change stays unseen.

    hash = SHA-256(previous hash || position, 8 bytes big-endian || event id, 16 bytes || envelope, UTF-8)

The previous hash of position 1 is 32 zero bytes. Whoever alters, removes, swaps or slips in an entry breaks the chain
from there on. Whoever rewrites the whole rest of the chain and its head is found by a head noted elsewhere, as each
line of the JSON-lines file does. (After Haber and Stornetta, "How to Time-Stamp a Digital Document", 1991.)
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chassis.actor import UNKNOWN
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope

GENESIS = bytes(32)


class Head(msgspec.Struct, frozen=True):
    """Where the chain ends: the position of the last entry and its hash."""

    position: int = 0
    hash: bytes = GENESIS


class Indexed(msgspec.Struct, frozen=True):
    """What is copied out of an envelope, so that it can be searched for."""

    event_id: UUID
    type: str
    source: str
    subject: str
    order_id: UUID | None
    correlation_id: str
    event_time: datetime
    actor: str | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is written down. `recorded_at` is the database's, and None until it is written."""

    position: int
    indexed: Indexed
    envelope: str
    previous_hash: bytes
    hash: bytes
    recorded_at: datetime | None = None


class Broken(msgspec.Struct, frozen=True):
    """The first place at which the chain does not hold."""

    position: int
    reason: str


def hash_of(previous_hash: bytes, position: int, event_id: UUID, text: str) -> bytes:
    """The 32 bytes that stand for the entry and all before it."""
    return hashlib.sha256(previous_hash + position.to_bytes(8, "big") + event_id.bytes + text.encode()).digest()


def entry_after(head: Head, event: Envelope) -> Entry:
    """The entry for `event` at the end of the chain. Raises `UnicodeDecodeError` for one that is no text."""
    position = head.position + 1
    text = event.body.decode()
    return Entry(
        position=position,
        indexed=index(event),
        envelope=text,
        previous_hash=head.hash,
        hash=hash_of(head.hash, position, event.id, text),
    )


def follow(head: Head, entry: Entry) -> Head | Broken:
    """The head after `entry`, or what is wrong with it, given the chain up to it."""
    expected = head.position + 1
    if entry.position != expected:
        return Broken(expected, f"the entry is missing: the next one is {entry.position}")
    if entry.previous_hash != head.hash:
        return Broken(entry.position, "it does not follow the entry before it")
    if entry.hash != hash_of(head.hash, entry.position, entry.indexed.event_id, entry.envelope):
        return Broken(entry.position, "its content is not what was written")
    if not _is_index_of(entry.indexed, entry.envelope):
        return Broken(entry.position, "what it is found by is not what its envelope says")
    return Head(entry.position, entry.hash)


def index(event: Envelope) -> Indexed:
    """What `event` is to be found by."""
    return Indexed(
        event_id=event.id,
        type=event.type,
        source=event.source,
        subject=event.subject,
        order_id=_order_of(event),
        correlation_id=event.correlationid,
        event_time=event.time,
        actor=event.actor,
    )


def _is_index_of(indexed: Indexed, text: str) -> bool:
    try:
        expected = index(envelope.decode(text.encode()))
    except msgspec.MsgspecError:
        return False
    # A replica of the version before keeps the envelope whole, and leaves the actor to the column's default.
    return indexed in (expected, msgspec.structs.replace(expected, actor=UNKNOWN))


class _Mention(msgspec.Struct):
    order_id: Any = None


def _order_of(event: Envelope) -> UUID | None:
    """The order that an event is about or mentions. An event of another form is recorded all the same, without."""
    said: Any = event.subject
    if not event.type.startswith("order."):
        try:
            said = envelope.read(event, _Mention).order_id
        except msgspec.MsgspecError:
            return None
    try:
        return UUID(said) if isinstance(said, str) else None
    except ValueError:
        return None
