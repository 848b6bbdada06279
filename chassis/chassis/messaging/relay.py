"""The relay brings the journal to the broker: in commit order, with publisher confirms, behind a cursor.

Guarantee: at least once. The cursor moves only after the broker has confirmed, so a crash in between publishes again,
and consumers know an event by its id. One replica relays at a time, by a lease that the database's clock decides; one
that was frozen past its lease does no harm but to publish twice, since its cursor update is refused.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis import failpoint
from chassis.lifecycle import Loop
from chassis.messaging import envelope, journal, restore_detection
from chassis.messaging.broker import Broker, BrokerUnavailable, Message
from chassis.persistence.database import Connection, Database, note_change, rows_affected
from chassis.persistence.statements import Statement
from chassis.telemetry import metrics, tracing

LEASE_S = 5.0
BATCH_MAX = 500
GATHER_S = 0.1
MESSAGE_EVENTS_MAX = 100
MESSAGE_CHARACTERS_MAX = 128 * 1024
"""Of the data of its events, so that a message stays well below the brokers' limits (NATS: 1 MiB)."""
Cursor: TypeAlias = tuple[str, int]
"""The transaction id and the position of the last published entry."""


class Relay:
    """A `Part`. Each commit that writes to the journal through `database` wakes it, so that events leave at once.

    Events of other processes leave within `poll_s`.
    """

    def __init__(self, source: str, database: Database, broker: Broker, *, poll_s: float = 0.1) -> None:
        self._source = f"/{source}"
        self._database = database
        self._broker = broker
        self._holder: UUID = uuid7()
        self._held_until = float("-inf")
        self._numbers_checked = False
        self._loop = Loop("relay", self._turn, rest_s=poll_s, gather_s=GATHER_S)
        database.after_commit(journal.WRITTEN, self.wake)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        if self._held_until > time.monotonic():
            await self._database.run_statement(self._give_up_lease)

    def wake(self) -> None:
        self._loop.wake()

    async def rewind(self, connection: Connection, since: datetime) -> int:
        """Have everything published again that was said at `since` or later; answers about how many events that are.

        For a broker that lost its store: consumers know what they had already by its id. Never goes forward. The order
        of the journal is that of commits, not of times: what lies between is said again too.
        """
        transaction_id, position = await journal.end_before(connection, since)
        if rows_affected(await _REWIND.execute(connection, transaction_id=transaction_id, position=position)) == 0:
            return 0
        note_change(journal.WRITTEN)
        # To count them takes a minute where there are millions. Only what was rolled back has left its position empty.
        return await journal.last_position(connection) - position

    async def _turn(self) -> bool:
        if not self._numbers_checked:
            await restore_detection.go_on_counting(self._database)
            self._numbers_checked = True
        cursor, entries = await self._database.read(_read_unpublished)
        if not entries:
            metrics.JOURNAL_LAG.set(0)
            metrics.JOURNAL_OLDEST.set(0)
            return False
        metrics.JOURNAL_LAG.set(len(entries))
        metrics.JOURNAL_OLDEST.set((datetime.now(UTC) - entries[0].time).total_seconds())
        if not await self._hold_lease():
            return False
        for entry in entries:
            failpoint.hit(entry.type, "before publish")
        await self._publish(entries)
        for entry in entries:
            failpoint.hit(entry.type, "after publish")
        await self._database.run_statement(lambda connection: self._advance(connection, cursor, entries[-1]))
        metrics.EVENTS_PUBLISHED.inc(len(entries))
        return len(entries) == BATCH_MAX

    async def _publish(self, entries: Sequence[journal.Entry]) -> None:
        try:
            with tracing.together(
                "producer", ((f"publish {entry.type}", entry.traceparent) for entry in entries)
            ) as own:
                # The consumers' spans continue from this one, so that a trace shows the way over the broker.
                said = _retraced(entries, own) if own else entries
                await self._broker.publish([self._message(batch) for batch in together(said)])
        except BrokerUnavailable:
            # Another replica may still reach it.
            self._held_until = float("-inf")
            await self._database.run_statement(self._give_up_lease)
            raise

    def _message(self, entries: Sequence[journal.Entry]) -> Message:
        return Message(
            # By all of them: another choice of events is another message.
            id=hashlib.sha256(b"".join(entry.event_id.bytes for entry in entries)).hexdigest(),
            type=entries[0].type,
            body=envelope.encode_batch([entry.envelope(self._source) for entry in entries]),
        )

    async def _hold_lease(self) -> bool:
        if time.monotonic() < self._held_until - LEASE_S / 2:
            return True
        asked_at = time.monotonic()
        if await self._database.run_statement(self._lease):
            self._held_until = asked_at + LEASE_S
            return True
        return False

    async def _lease(self, connection: Connection) -> bool:
        return rows_affected(await _LEASE.execute(connection, holder=self._holder, lease_s=LEASE_S)) == 1

    async def _give_up_lease(self, connection: Connection) -> None:
        # Else the next to relay, which may be this same service after a restart, would wait for it to run out.
        await _GIVE_UP_LEASE.execute(connection, holder=self._holder)

    async def _advance(self, connection: Connection, cursor: Cursor, last: journal.Entry) -> None:
        transaction_id, position = cursor
        await _ADVANCE.execute(
            connection,
            holder=self._holder,
            old_transaction_id=transaction_id,
            old_position=position,
            new_transaction_id=last.transaction_id,
            new_position=last.position,
        )


def _retraced(entries: Sequence[journal.Entry], traces: Sequence[str | None]) -> list[journal.Entry]:
    return [msgspec.structs.replace(entry, traceparent=trace) for entry, trace in zip(entries, traces, strict=True)]


def together(entries: Sequence[journal.Entry]) -> list[list[journal.Entry]]:
    """`entries` by messages: those of one type go together, as far as those about one subject stay in their order."""
    messages: list[list[journal.Entry]] = []
    sizes: list[int] = []
    newest_of_type: dict[str, int] = {}
    newest_about: dict[str, int] = {}
    for entry in entries:
        number = newest_of_type.get(entry.type, -1)
        if (
            number < newest_about.get(entry.subject, 0)
            or len(messages[number]) == MESSAGE_EVENTS_MAX
            or sizes[number] + len(entry.data) > MESSAGE_CHARACTERS_MAX
        ):
            number = len(messages)
            messages.append([])
            sizes.append(0)
        messages[number].append(entry)
        sizes[number] += len(entry.data)
        newest_of_type[entry.type] = newest_about[entry.subject] = number
    return messages


_REWIND = Statement("""
    UPDATE journal_relay
    SET transaction_id = :transaction_id::text::xid8, position = :position
    WHERE name = 'signed'
      AND (transaction_id, position) > (:transaction_id::text::xid8, :position::bigint)
""")

_LEASE = Statement("""
    UPDATE journal_relay
    SET holder = :holder, leased_until = now() + make_interval(secs => :lease_s)
    WHERE name = 'signed' AND (holder = :holder OR leased_until <= now())
""")

_GIVE_UP_LEASE = Statement("UPDATE journal_relay SET leased_until = now() WHERE name = 'signed' AND holder = :holder")

# Only from where this batch was read: a cursor that an operator has set back meanwhile stays there.
_ADVANCE = Statement("""
    UPDATE journal_relay
    SET transaction_id = :new_transaction_id::text::xid8, position = :new_position
    WHERE name = 'signed'
      AND holder = :holder
      AND transaction_id = :old_transaction_id::text::xid8
      AND position = :old_position
""")


async def _read_unpublished(connection: Connection) -> tuple[Cursor, list[journal.Entry]]:
    row = await connection.fetchrow("SELECT transaction_id::text, position FROM journal_relay WHERE name = 'signed'")
    assert row is not None, "the first migration makes this row"
    cursor = (row["transaction_id"], row["position"])
    return cursor, await journal.read_after(connection, *cursor, BATCH_MAX)
