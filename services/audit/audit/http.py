"""What administrators may ask: what happened, and is the record intact?"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from audit import store
from audit.chain import Entry
from audit.signed_heads import HeadsFile, HeadSigner, SignedHead
from audit.store import Search
from audit.verify_chain import Verification, verify_record
from chassis.messaging import envelope
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.pages import Cursor, Limit, Page, cursor_of, key_of
from chassis.web.query_parameters import Instant, instant_of

POSITION_MAX = 2**63 - 1
CorrelationId = Annotated[str | None, QueryParameter(name="correlation_id", max_length=128)]
EventType = Annotated[str | None, QueryParameter(name="type", max_length=128, description="Such as order.confirmed.")]
Actor = Annotated[
    str | None,
    QueryParameter(name="actor", max_length=128, description="Such as operator:<id>, user:<id> or service:orders."),
]
FromPosition = Annotated[
    int, QueryParameter(name="from_position", ge=1, le=POSITION_MAX, description="Trust what is written before it.")
]
Position = Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)]


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it was said. `actor` is who did it, `recorded_at` when it was written down."""

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


class KeptHead(msgspec.Struct, frozen=True):
    """`statement` is the JWS (RFC 7515) that signs `head`: store it where the operators of audit cannot change it."""

    head: SignedHead
    statement: str


class HeadKeys(msgspec.Struct, frozen=True):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


def routes(database: Database, signer: HeadSigner, heads: HeadsFile) -> list[ControllerRouterHandler]:
    @get("/audit/events", guards=[access.administrator], summary="Search the journal, oldest first")
    async def search_events(
        correlation_id: CorrelationId = None,
        order_id: FromQuery[UUID | None] = None,
        type_: EventType = None,
        actor: Actor = None,
        since: Instant = None,
        until: Instant = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[RecordedEvent]:
        search = Search(
            correlation_id=correlation_id,
            order_id=order_id,
            type=type_,
            actor=actor,
            since=instant_of(since, "since"),
            until=instant_of(until, "until"),
        )
        after = key_of(cursor, Position) or 0
        entries = await database.read(lambda c: store.search_entries(c, search, after, limit + 1))
        page = entries[:limit]
        return Page([_recorded(entry) for entry in page], cursor_of(page[-1].position) if entries[limit:] else None)

    @get("/audit/verify", guards=[access.administrator], summary="Walk the hash chain")
    async def verify(from_position: FromPosition = 1) -> Verification:
        return await verify_record(database, signer, heads, from_position)

    @get("/audit/heads", guards=[access.administrator], summary="The signed heads of the chain, oldest first")
    async def list_heads(limit: Limit = 20, cursor: Cursor = None) -> Page[KeptHead]:
        after = key_of(cursor, Position) or 0
        kept = await database.read(lambda c: store.read_statements(c, after, limit + 1))
        page = kept[:limit]
        items = [KeptHead(head=signer.read(each.statement), statement=each.statement) for each in page]
        return Page(items, cursor_of(page[-1].id) if kept[limit:] else None)

    @get("/audit/keys", guards=[access.administrator], summary="The public keys by which signed heads are verified")
    async def show_keys() -> HeadKeys:
        return HeadKeys(keys=signer.public_keys["keys"])

    return [search_events, verify, list_heads, show_keys]


def _recorded(entry: Entry) -> RecordedEvent:
    found_by = entry.indexed
    return RecordedEvent(
        position=entry.position,
        id=found_by.event_id,
        type=found_by.type,
        source=found_by.source,
        subject=found_by.subject,
        order_id=found_by.order_id,
        correlation_id=found_by.correlation_id,
        actor=found_by.actor,
        time=found_by.event_time,
        recorded_at=entry.recorded_at,
        data=envelope.decode(entry.envelope.encode()).data,
    )
