"""The hash chain of the audit record. A changed entry breaks the chain at its position.

    hash = SHA-256(previous hash || position, 8 bytes big-endian || event id, 16 bytes || envelope, UTF-8)

The previous hash of position 1 is 32 zero bytes. An entry that is altered, removed, moved or inserted breaks the chain
there. A chain that was rewritten with its head is found by comparing it with a head that was signed before (decision
24). Source: Haber and Stornetta, "How to Time-Stamp a Digital Document", 1991.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the position and the hash of the last entry."""

    position: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class IndexFields:
    """The members of an envelope that are copied into columns, so that a search finds the entry by them."""

    event_id: UUID
    type: str
    source: str
    subject: str
    order_id: UUID | None
    correlation_id: str
    event_time: datetime
    actor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event in the chain. The database sets `recorded_at`; it is None before the entry is inserted."""

    position: int
    index: IndexFields
    envelope: str
    previous_hash: bytes
    hash: bytes
    recorded_at: datetime | None = None

    @property
    def head(self) -> Head:
        """The head of the chain that ends with this entry."""
        return Head(self.position, self.hash)


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first position at which the chain is not intact."""

    position: int
    reason: str


def hash_of(previous_hash: bytes, position: int, event_id: UUID, envelope: str) -> bytes:
    """The 32 bytes that cover the entry and all entries before it."""
    return hashlib.sha256(previous_hash + position.to_bytes(8, "big") + event_id.bytes + envelope.encode()).digest()


def next_entry(head: Head, index: IndexFields, envelope: str) -> Entry:
    """The entry that extends the chain from `head`."""
    position = head.position + 1
    return Entry(
        position=position,
        index=index,
        envelope=envelope,
        previous_hash=head.hash,
        hash=hash_of(head.hash, position, index.event_id, envelope),
    )


def follow(head: Head, entry: Entry) -> Head | ChainBreak:
    """The head after `entry`, or the reason why `entry` does not extend the chain from `head`."""
    expected = head.position + 1
    if entry.position != expected:
        return ChainBreak(expected, f"the entry is missing: the next one is {entry.position}")
    if entry.previous_hash != head.hash:
        return ChainBreak(entry.position, "it does not follow the entry before it")
    if entry.hash != hash_of(head.hash, entry.position, entry.index.event_id, entry.envelope):
        return ChainBreak(entry.position, "its content differs from its hash")
    return entry.head
