"""Writes a batch of events to the end of the chain, whichever events they are."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from audit import store
from audit.chain import Entry, Head, entry_after
from chassis.messaging.envelope import Envelope
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection

_log = structlog.get_logger()


async def record_events(connection: Connection, events: Sequence[Envelope]) -> None:
    """Add `events` in the order given, in the transaction of the inbox.

    The head stays locked until the commit: positions have no gaps and become visible in their order.
    """
    head = await store.lock_head(connection)
    entries: list[Entry] = []
    for event in events:
        entry = entry_after(head, event)
        entries.append(entry)
        head = Head(entry.position, entry.hash)
    await store.insert_entries(connection, entries)
    await store.move_head(connection, head)
    _tell(events, head.position)


def _tell(events: Sequence[Envelope], last_position: int) -> None:
    """A line for each piece of work that something was recorded of: one for each event would be half the cost of it."""
    by_work: dict[str, list[str]] = {}
    for event in events:
        by_work.setdefault(event.correlationid, []).append(event.type)
    for correlation_id, types in by_work.items():
        _log.info("events recorded", event_types=types, up_to=last_position, correlation_id=correlation_id)


async def record_own(connection: Connection, event: Event) -> None:
    """What audit says itself goes straight to the chain: it has no journal, and so no position there."""
    said = Envelope(
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
    await record_events(connection, [said])
