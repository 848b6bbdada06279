"""The journal: a service writes its events in the transaction of the change itself. Outbox and history in one table.

Guarantee: an event exists if and only if its change was committed. The relay brings it to the broker afterwards, at
least once and in commit order; rows stay, so a broker that lost its store is filled again from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis import context
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection, Row, note_change
from chassis.persistence.statements import JsonText, Statement

WRITTEN = "journal"
"""The kind of change that a transaction notes when it writes events: the relay is woken after its commit."""
LATEST_MAX = 50_000
"""So many of the latest entries are looked through for one that may just have been written."""
TRANSACTION_MAX = timedelta(minutes=2)
"""No transaction of a service is as old as that: each of its statements has a limit, and so has its idleness."""

SCHEMA = """
CREATE TABLE journal (
    position       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id(),
    event_id       uuid        NOT NULL,
    type           text        NOT NULL,
    subject        text        NOT NULL,
    time           timestamptz NOT NULL DEFAULT clock_timestamp(),
    correlation_id text        NOT NULL,
    traceparent    text,
    data           json        NOT NULL
);
CREATE INDEX journal_commit_order ON journal (transaction_id, position);

CREATE TABLE journal_relay (
    name           text        PRIMARY KEY,
    transaction_id xid8        NOT NULL DEFAULT '0',
    position       bigint      NOT NULL DEFAULT 0,
    holder         uuid,
    leased_until   timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO journal_relay (name) VALUES ('broker');
"""
"""What a service's first migration holds, word for word (a test compares)."""

NUMBERS = """
CREATE FUNCTION journal_number(transaction_id xid8) RETURNS xid8 LANGUAGE sql STABLE AS 'SELECT $1';
"""
"""What another of its migrations holds: the number by which the journal knows a transaction of this cluster.

It is the transaction's own until the database is restored from a dump (`restore_detection.py`). Until then the column's
default stays as it is above: changing it in a migration would have purchases wait behind readers of the journal.
"""


ACTORS = """
ALTER TABLE journal ADD COLUMN actor text DEFAULT 'unknown';
"""
"""What a third migration holds. The default is for the rows of the past and for a replica of the version before: an
event of this version without an actor is NULL, and `cartwright verify` finds it."""


SIGNED = """
INSERT INTO journal_relay (name, transaction_id, position)
SELECT 'signed', transaction_id, position
FROM (
    SELECT transaction_id, position
    FROM journal_relay
    WHERE name = 'broker'
    UNION ALL
    SELECT coalesce(earlier.transaction_id, '0'), coalesce(earlier.position, 0)
    FROM (VALUES (true)) AS always
    LEFT JOIN (
        SELECT transaction_id, position
        FROM journal
        WHERE time < (SELECT time FROM journal ORDER BY position DESC LIMIT 1) - interval '1 day'
        ORDER BY position DESC
        LIMIT 1
    ) AS earlier ON true
) AS cursors
ORDER BY transaction_id, position
LIMIT 1;
"""
"""What a fourth migration holds: the cursor of the relays that sign (`signed_broker.py`). Those of the version before
go by the row `broker`, and what they publish is refused. So what they have not published yet, and the last day of the
journal before that, are published again, signed. Consumers know by the ids what they had."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened, in the past tense: `order.confirmed`, about `subject`.

    `correlation_id`, `traceparent` and `actor` are those of the current work unless given.
    """

    type: str
    subject: str
    data: msgspec.Struct
    id: UUID = msgspec.field(default_factory=uuid7)
    correlation_id: str = msgspec.field(default_factory=context.correlation_id)
    traceparent: str | None = msgspec.field(default_factory=context.traceparent)
    actor: str | None = msgspec.field(default_factory=context.actor)


@dataclass(slots=True)
class _EventRow:
    """The columns of `journal` that an event has when it is written. Not frozen, since that doubles the time to make
    one, and each purchase takes several."""

    event_id: UUID
    type: str
    subject: str
    correlation_id: str
    traceparent: str | None
    actor: str | None
    data: JsonText


_encode = msgspec.json.Encoder().encode


def _row(event: Event) -> _EventRow:
    return _EventRow(
        event_id=event.id,
        type=event.type,
        subject=event.subject,
        correlation_id=event.correlation_id,
        traceparent=event.traceparent,
        actor=event.actor,
        data=_encode(event.data).decode(),
    )


_INSERT = "INSERT INTO journal (:events.*) SELECT events.* FROM :events"
_APPEND = Statement(_INSERT, events=_EventRow)


async def append(connection: Connection, events: Sequence[Event]) -> None:
    """Write `events` in the transaction that `connection` is in."""
    assert connection.is_in_transaction(), "an event without the transaction of its change is a rumour"
    if events:
        await _APPEND.execute(connection, events=[_row(event) for event in events])
        note_change(WRITTEN)


class JournaledChange:
    """One statement that makes a change and writes the events of the rows that it changed, and of no others.

    `change` inserts or updates (see `chassis.persistence.statements` for its parameters and `shapes`), and returns what
    `fetch` answers. An event is written when its subject is the `subject` of a changed row, a column that is returned.
    `also` are more parts of the same WITH, each begun with a comma, which may read `changed`.
    """

    def __init__(self, change: str, *, subject: str, also: str = "", **shapes: type) -> None:
        self._statement = Statement(
            f"""
            WITH changed AS ({change}),
                 emitted AS ({_INSERT} JOIN changed ON changed.{subject}::text = events.subject)
                 {also}
            SELECT * FROM changed
            """,  # noqa: S608
            events=_EventRow,
            **shapes,
        )

    async def fetch(self, connection: Connection, *, events: Sequence[Event], **parameters: Any) -> list[Row]:
        """The changed rows. Needs no transaction around it, since it is one statement."""
        # Before the answer: when it is lost, the statement is repeated, and finds its own change made.
        note_change(WRITTEN)
        return await self._statement.fetch(connection, events=[_row(event) for event in events], **parameters)


class Entry(msgspec.Struct, frozen=True):
    """A row of the journal. `data` is the JSON text."""

    transaction_id: str
    position: int
    event_id: UUID
    type: str
    subject: str
    time: datetime
    correlation_id: str
    traceparent: str | None
    actor: str | None
    data: str

    def envelope(self, source: str) -> Envelope:
        return Envelope(
            id=self.event_id,
            source=source,
            type=self.type,
            subject=self.subject,
            time=self.time,
            sequence=str(self.position),
            correlationid=self.correlation_id,
            traceparent=self.traceparent,
            actor=self.actor,
            data=msgspec.Raw(self.data.encode()),
        )


# Only what lies below the oldest running transaction is read: a transaction that commits late can have a lower number
# than one that is published already, and would be skipped for ever. (xid8 is PostgreSQL's own 64-bit number.)
# The order names the table: without it, it would be that of the text in the result, where 1000 comes before 999.
_READ_AFTER = Statement("""
    SELECT transaction_id::text, position, event_id, type, subject, time, correlation_id, traceparent, actor, data::text
    FROM journal
    WHERE (transaction_id, position) > (:transaction_id::text::xid8, :position::bigint)
      AND transaction_id < journal_number(pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY journal.transaction_id, journal.position
    LIMIT :limit
""")


async def read_after(connection: Connection, transaction_id: str, position: int, limit: int) -> list[Entry]:
    """The next entries in commit order, without any that an unfinished transaction could still precede."""
    rows = await _READ_AFTER.fetch(connection, transaction_id=transaction_id, position=position, limit=limit)
    return [Entry(*row) for row in rows]


# An index on the ids would answer for all of the journal, and be paid for by every purchase.
_HOLDS = Statement("""
    WITH latest AS (
        SELECT event_id
        FROM journal
        ORDER BY position DESC
        LIMIT :latest_max
    )
    SELECT EXISTS (SELECT FROM latest WHERE event_id = :event_id)
""")


async def holds(connection: Connection, event_id: UUID) -> bool:
    """Whether the event stands there already, when an attempt some seconds ago may have written it.

    It is looked for among the latest `LATEST_MAX`: fifty seconds of the most that a service was ever seen to write.
    """
    return bool(await _HOLDS.fetchval(connection, event_id=event_id, latest_max=LATEST_MAX))


_NEXT_BELOW = Statement("""
    SELECT transaction_id::text, position, time
    FROM journal
    WHERE position > :low
      AND position <= :high
    ORDER BY position DESC
    LIMIT 1
""")


async def end_before(connection: Connection, since: datetime) -> tuple[str, int]:
    """The transaction and the position of an entry after which everything comes, in commit order, that was said at
    `since` or later. What was said up to `TRANSACTION_MAX` before may come after it, too.

    Times grow with positions, unless the clock is set back by minutes. So the entry is found by halving, in some thirty
    looks at the primary key however long the journal is, and without an index on `time` that purchases would pay for.

    A transaction with a lower number than the entry's had begun before the entry was said, and so had ended at `since`.
    What has the same number and was said later has a higher position.
    """
    found = ("0", 0)
    low, high = 0, await last_position(connection)
    while low < high:
        middle = (low + high + 1) // 2
        row = await _NEXT_BELOW.fetchrow(connection, low=low, high=middle)
        if row is None:
            low = middle
        elif row["time"] + TRANSACTION_MAX < since:
            found, low = (row["transaction_id"], row["position"]), middle
        else:
            high = row["position"] - 1
    return found


async def last_position(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM journal"))


_OF_SUBJECT = Statement("""
    SELECT transaction_id::text, position, event_id, type, subject, time, correlation_id, traceparent, actor, data::text
    FROM journal
    WHERE subject = :subject
      AND position > :after
    ORDER BY position
    LIMIT :limit
""")


async def history_of(connection: Connection, subject: str, *, after: int = 0, limit: int = 200) -> list[Entry]:
    """What happened to one thing after a position, oldest first. Needs an index on `journal (subject, position)`.

    Where each change of the thing holds a lock on it until its commit, later events have higher positions, so that a
    reader that goes on after the last one it saw misses none.
    """
    rows = await _OF_SUBJECT.fetch(connection, subject=subject, after=after, limit=limit)
    return [Entry(*row) for row in rows]
