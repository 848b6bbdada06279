"""Appends a batch of events to the chain."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from audit.consumed_events import index_fields
from audit.domain.chain import Entry, Head, next_entry
from audit.store import chain
from chassis.messaging.envelope import Envelope
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection

_log = structlog.get_logger()


async def record_events(connection: Connection, events: Sequence[Envelope]) -> None:
    """Append `events` in the given order, in the transaction of the inbox.

    The head stays locked until the commit. So positions have no gaps and become visible in order.
    Raises `UnicodeDecodeError` for an envelope that is not UTF-8.
    """
    head = await chain.lock_head(connection)
    entries = entries_for(head, events)
    head = entries[-1].head if entries else head
    await chain.insert_entries(connection, entries)
    await chain.move_head(connection, head)
    _log_recorded(events, head.position)


async def record_own_event(connection: Connection, event: Event) -> None:
    """Append an event of audit itself. Audit has no journal, so the event has the sequence 0."""
    own = Envelope(
        id=event.id,
        source="/audit",
        type=event.type,
        subject=event.subject,
        time=datetime.now(UTC),
        sequence="0",
        correlationid=event.correlation_id,
        traceparent=event.traceparent,
        actor=event.actor,
        data=msgspec.Raw(msgspec.json.encode(event.data)),
    )
    await record_events(connection, [own])


def entries_for(head: Head, events: Sequence[Envelope]) -> list[Entry]:
    """The entries that extend the chain from `head` by `events`."""
    entries: list[Entry] = []
    for event in events:
        entries.append(next_entry(head, index_fields(event), event.body.decode()))
        head = entries[-1].head
    return entries


def _log_recorded(events: Sequence[Envelope], last_position: int) -> None:
    # One line for each correlation id: a line for each event would cost half of the work of recording it.
    types_by_correlation_id: dict[str, list[str]] = {}
    for event in events:
        types_by_correlation_id.setdefault(event.correlationid, []).append(event.type)
    for correlation_id, types in types_by_correlation_id.items():
        _log.info("events recorded", event_types=types, up_to=last_position, correlation_id=correlation_id)
