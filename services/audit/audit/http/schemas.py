"""The answers of audit."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from audit import verify_chain
from audit.domain.chain import Entry
from audit.head_signer import SignedHead
from chassis.messaging import envelope


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `time` is when it happened, `recorded_at` when audit recorded it, `actor` who caused it."""

    position: int
    id: UUID
    type: str
    source: str
    subject: str
    order_id: UUID | None
    correlation_id: str
    actor: str | None
    time: datetime
    recorded_at: datetime | None
    data: Any

    @staticmethod
    def of(entry: Entry) -> "RecordedEvent":
        index = entry.index
        return RecordedEvent(
            position=entry.position,
            id=index.event_id,
            type=index.type,
            source=index.source,
            subject=index.subject,
            order_id=index.order_id,
            correlation_id=index.correlation_id,
            actor=index.actor,
            time=index.event_time,
            recorded_at=entry.recorded_at,
            data=envelope.decode(entry.envelope.encode()).data,
        )


class Broken(msgspec.Struct, frozen=True):
    """The first position at which the chain is not intact."""

    position: int
    reason: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` entries are intact, up to the hash `head` (hexadecimal). `first_broken` follows them, if any is broken.

    `signed_heads` is the number of signed heads, of the database and of the file, that were compared with the chain.
    """

    intact: bool
    entries: int
    head: str
    signed_heads: int
    first_broken: Broken | None

    @staticmethod
    def of(result: verify_chain.Verification) -> "Verification":
        first = result.first_break
        return Verification(
            intact=result.is_intact,
            entries=result.entries,
            head=result.head.hash.hex(),
            signed_heads=result.signed_heads,
            first_broken=None if first is None else Broken(first.position, first.reason),
        )


class KeptHead(msgspec.Struct, frozen=True):
    """`statement` is the JWS (RFC 7515) that signs `head`: store it where the operators of audit cannot change it."""

    head: SignedHead
    statement: str


class HeadKeys(msgspec.Struct, frozen=True):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]
