"""The routes to search and to verify the audit record. For administrators."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, QueryParameter

from audit.head_signer import HeadSigner
from audit.heads_file import HeadsFile
from audit.http.schemas import RecordedEvent, Verification
from audit.store import chain
from audit.store.chain import EventFilter
from audit.verify_audit_record import verify_audit_record
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.query_parameters import Instant, instant_of

POSITION_MAX = 2**63 - 1
CorrelationId = Annotated[str | None, QueryParameter(name="correlation_id", max_length=128)]
EventType = Annotated[str | None, QueryParameter(name="type", max_length=128, description="Such as order.confirmed.")]
Actor = Annotated[
    str | None,
    QueryParameter(name="actor", max_length=128, description="Such as operator:<id>, user:<id> or service:orders."),
]
FromPosition = Annotated[
    int, QueryParameter(name="from_position", ge=1, le=POSITION_MAX, description="The entries before it are trusted.")
]
Position = Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)]


def routes(database: Database, signer: HeadSigner, heads_file: HeadsFile) -> list[HTTPRouteHandler]:
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
        event_filter = EventFilter(
            correlation_id=correlation_id,
            order_id=order_id,
            type=type_,
            actor=actor,
            since=instant_of(since, "since"),
            until=instant_of(until, "until"),
        )
        after = key_of(cursor, Position) or 0
        entries = await database.read(lambda c: chain.search_entries(c, event_filter, after, limit + 1))
        return page_of(entries, limit, lambda entry: entry.position).map(RecordedEvent.of)

    @get("/audit/verify", guards=[access.administrator], summary="Verify the hash chain")
    async def verify(from_position: FromPosition = 1) -> Verification:
        return Verification.of(await verify_audit_record(database, signer, heads_file, from_position))

    return [search_events, verify]
