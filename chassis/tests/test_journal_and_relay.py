"""An event is published if and only if its change was committed, in commit order, whatever dies in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chassis import context
from chassis.messaging import envelope, inbox, journal
from chassis.messaging.broker import BrokerUnavailable, Message
from chassis.messaging.brokers.nats import NatsBroker
from chassis.messaging.envelope import Envelope
from chassis.messaging.journal import Entry, Event
from chassis.messaging.relay import MESSAGE_CHARACTERS_MAX, Relay, together
from chassis.persistence.database import Connection, Database

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Placed(msgspec.Struct):
    name: str


class Record:
    """Stands in for a broker: confirms what it gets, or dies when told to."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.fails: list[Exception] = []
        self.publishing = 0
        self.publishing_max = 0

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, messages: Sequence[Message]) -> None:
        self.publishing += 1
        self.publishing_max = max(self.publishing_max, self.publishing)
        await asyncio.sleep(0.005)
        self.publishing -= 1
        if self.fails:
            raise self.fails.pop(0)
        self.published += messages

    async def subscribe(self, group: str, types: Sequence[str]) -> None:
        raise AssertionError("a relay does not listen")

    @property
    def names(self) -> list[str]:
        return [envelope.read(event, Placed).name for message in self.published for event in _events(message.body)]


def _events(message: bytes) -> list[Envelope]:
    return [envelope.decode(event) for event in envelope.split(message)]


@pytest.fixture
def record() -> Record:
    return Record()


def _event(name: str) -> Event:
    return Event(type="order.placed", subject=name, data=Placed(name))


async def _place(database: Database, *names: str) -> None:
    await database.run(lambda connection: journal.append(connection, [_event(name) for name in names]))


async def _published(record: Record, *names: str) -> bool:
    return record.names == list(names)


# The journal


async def test_an_event_outside_of_a_transaction_is_a_bug(database: Database) -> None:
    with pytest.raises(AssertionError, match="rumour"):
        await database.read(lambda connection: journal.append(connection, [_event("a")]))


async def test_an_event_keeps_what_it_belongs_to(database: Database, record: Record) -> None:
    event_id = uuid4()
    with context.working_on("purchase-1", TRACE):
        event = Event(type="order.placed", subject="o-1", data=Placed("a"), id=event_id)
    await database.run(lambda connection: journal.append(connection, [event]))
    relay = Relay("orders", database, record)
    await relay._turn()
    (read,) = _events(record.published[0].body)
    assert (read.id, read.source, read.type, read.subject) == (event_id, "/orders", "order.placed", "o-1")
    assert (read.correlationid, read.traceparent, read.specversion) == ("purchase-1", TRACE, "1.0")
    assert read.sequence.isdigit()
    assert read.time.tzinfo is not None
    assert record.published[0].type == "order.placed"


@dataclass(frozen=True, slots=True)
class _Renaming:
    old: str
    new: str


_RENAME = journal.JournaledChange(
    "UPDATE effect SET name = new FROM :renamings WHERE name = old AND :is_allowed::boolean RETURNING name",
    subject="name",
    also=", noted AS (INSERT INTO inbox (event_id) SELECT gen_random_uuid() FROM changed)",
    renamings=_Renaming,
)


async def test_one_statement_writes_the_events_of_the_rows_that_it_changed_and_no_others(
    database: Database, record: Record
) -> None:
    await database.run(lambda connection: connection.execute("INSERT INTO effect VALUES ('a'), ('b')"))
    woken: list[bool] = []
    database.after_commit(journal.WRITTEN, lambda: woken.append(True))
    events = [_event("A"), _event("B"), _event("C")]
    renamings = [_Renaming("a", "A"), _Renaming("c", "C")]
    changed = await database.run_statement(
        lambda connection: _RENAME.fetch(connection, renamings=renamings, is_allowed=True, events=events)
    )
    assert [row["name"] for row in changed] == ["A"]
    assert woken == [True]
    await Relay("orders", database, record)._turn()
    assert record.names == ["A"]
    assert await database.read(lambda connection: connection.fetchval("SELECT count(*) FROM inbox")) == 1


async def test_the_relay_is_woken_when_a_repeated_statement_finds_its_change_made(database: Database) -> None:
    woken: list[bool] = []
    database.after_commit(journal.WRITTEN, lambda: woken.append(True))
    changed = await database.run_statement(
        lambda connection: _RENAME.fetch(
            connection, renamings=[_Renaming("a", "A")], is_allowed=True, events=[_event("A")]
        )
    )
    assert (changed, woken) == ([], [True])


async def test_a_change_whose_event_cannot_be_written_is_not_made(database: Database) -> None:
    await database.run(lambda connection: connection.execute("INSERT INTO effect VALUES ('a')"))
    event = msgspec.structs.replace(_event("A"), correlation_id=None)
    with pytest.raises(asyncpg.NotNullViolationError):
        await database.run_statement(
            lambda connection: _RENAME.fetch(
                connection, renamings=[_Renaming("a", "A")], is_allowed=True, events=[event]
            )
        )
    assert await database.read(lambda connection: connection.fetchval("SELECT name FROM effect")) == "a"


async def test_the_history_of_one_thing_is_told_in_order(database: Database) -> None:
    await _place(database, "a", "b")
    await _place(database, "a")
    history = await database.read(lambda connection: journal.history_of(connection, "a"))
    assert [entry.position for entry in history] == [1, 3]


_FILL = """
    INSERT INTO journal (transaction_id, event_id, type, subject, time, correlation_id, data)
    SELECT (100 + number / 10)::text::xid8, gen_random_uuid(), 'order.placed', number::text,
           now() - make_interval(secs => $1 - number), 'c', '{}'
    FROM generate_series(1, $1::integer) AS number
"""
_ROWS_READ = """
    SELECT seq_tup_read + idx_tup_fetch
    FROM pg_stat_xact_user_tables
    WHERE relname = 'journal'
"""


async def test_what_operators_ask_reads_a_part_of_the_journal_that_does_not_grow_with_it(
    database: Database, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.journal.LATEST_MAX", 1_000)
    await database.run(lambda connection: connection.execute(_FILL, 20_000))
    await database.run(
        lambda connection: connection.execute("UPDATE journal_relay SET transaction_id = '2100', position = 20000")
    )

    async def rows_read(connection: Connection, work: Callable[[Connection], Awaitable[object]]) -> int:
        before = await connection.fetchval(_ROWS_READ)
        await work(connection)
        return int(await connection.fetchval(_ROWS_READ)) - int(before)

    async def ask(connection: Connection) -> None:
        relay = Relay("orders", database, record)
        now = datetime.now(UTC)
        assert await rows_read(connection, lambda _: journal.holds(connection, uuid4())) <= 1_000
        # From the latest on, so that the cursor goes back each time.
        for seconds in (0, 300, 10_000, 19_700, 30_000):
            since = now - timedelta(seconds=seconds)
            assert await rows_read(connection, lambda _, since=since: relay.rewind(connection, since)) <= 100

    await database.run(ask)


async def test_an_event_that_was_just_said_is_known(database: Database) -> None:
    event = _event("a")
    await database.run(lambda connection: journal.append(connection, [_event("before"), event, _event("after")]))
    assert await database.read(lambda connection: journal.holds(connection, event.id))
    assert not await database.read(lambda connection: journal.holds(connection, uuid4()))


# The relay


async def test_nothing_is_published_for_a_change_that_was_rolled_back(database: Database, record: Record) -> None:
    async def change(connection: Connection) -> None:
        await journal.append(connection, [_event("never")])
        raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError):
        await database.run(change)
    await _place(database, "after")
    relay = Relay("orders", database, record)
    await relay._turn()
    assert record.names == ["after"]


SAID = st.tuples(st.sampled_from(["order.placed", "order.confirmed"]), st.sampled_from("abcd"))


@given(said=st.lists(SAID, max_size=40))
@hypothesis.settings(max_examples=200, derandomize=True, deadline=None)
def test_events_of_one_type_go_together_and_those_about_one_thing_in_their_order(said: list[tuple[str, str]]) -> None:
    entries = [
        Entry("1", position, uuid4(), type_, subject, datetime.now(UTC), "c", None, None, "{}")
        for position, (type_, subject) in enumerate(said)
    ]
    messages = together(entries)
    assert all(len({entry.type for entry in message}) == 1 for message in messages)
    sent = [entry for message in messages for entry in message]
    assert sorted(entry.position for entry in sent) == list(range(len(said)))
    for subject in "abcd":
        positions = [entry.position for entry in sent if entry.subject == subject]
        assert positions == sorted(positions)


def test_many_orders_at_once_make_few_messages() -> None:
    said = [(type_, str(number)) for type_ in ("order.placed", "order.confirmed") for number in range(80)]
    entries = [
        Entry("1", 1, uuid4(), type_, subject, datetime.now(UTC), "c", None, None, "{}") for type_, subject in said
    ]
    assert [len(message) for message in together(entries)] == [80, 80]


def test_a_message_has_bounds() -> None:
    def entry(data: str) -> Entry:
        return Entry("1", 1, uuid4(), "order.placed", str(uuid4()), datetime.now(UTC), "c", None, None, data)

    assert [len(message) for message in together([entry("{}")] * 250)] == [100, 100, 50]
    assert [len(message) for message in together([entry("x" * MESSAGE_CHARACTERS_MAX), entry("{}")])] == [1, 1]


async def test_events_leave_in_commit_order_and_once(database: Database, record: Record) -> None:
    relay = Relay("orders", database, record)
    for number in range(3):
        await _place(database, f"{number}a", f"{number}b")
        await relay._turn()
    await relay._turn()
    assert record.names == ["0a", "0b", "1a", "1b", "2a", "2b"]


async def test_more_than_a_batch_leaves_batch_by_batch(
    database: Database, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.relay.BATCH_MAX", 4)
    await _place(database, *map(str, range(10)))
    relay = Relay("orders", database, record)
    assert [await relay._turn() for _ in range(4)] == [True, True, False, False]
    assert record.names == list(map(str, range(10)))


async def test_a_late_commit_with_a_lower_number_is_not_skipped(
    database: Database, service_url: str, record: Record
) -> None:
    relay = Relay("orders", database, record)
    await relay._turn()
    slow = await asyncpg.connect(service_url)
    transaction = slow.transaction()
    await transaction.start()
    await journal.append(slow, [_event("begun first")])  # type: ignore[arg-type]
    await _place(database, "committed first")
    await relay._turn()
    # It must not run ahead: the cursor would have passed the number of the one that has not committed yet.
    assert record.names == []
    await transaction.commit()
    await slow.close()
    await relay._turn()
    assert record.names == ["begun first", "committed first"]


async def test_commit_order_is_that_of_numbers_and_not_of_their_digits(database: Database, record: Record) -> None:
    # Else the relay would pass over 9 for ever where a batch ends between the two, at each further digit.
    await _place(database, "ten", "nine")
    await database.run_as_owner(
        lambda connection: connection.execute(
            "UPDATE journal SET transaction_id = CASE subject WHEN 'ten' THEN '10'::xid8 ELSE '9'::xid8 END"
        )
    )
    first = await database.read(lambda connection: journal.read_after(connection, "0", 0, 1))
    assert [entry.subject for entry in first] == ["nine"]
    await Relay("orders", database, record)._turn()
    assert record.names == ["nine", "ten"]


async def test_a_crash_between_publishing_and_moving_the_cursor_publishes_again(
    database: Database, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _place(database, "a", "b")
    crashing = Relay("orders", database, record)

    async def crash(*_: object) -> None:
        raise SystemExit("killed")

    monkeypatch.setattr(crashing, "_advance", crash)
    with pytest.raises(SystemExit):
        await crashing._turn()
    await _expire_lease(database)
    restarted = Relay("orders", database, record)
    await restarted._turn()
    await restarted._turn()
    assert record.names == ["a", "b", "a", "b"]
    assert record.published[0].id == record.published[1].id


async def test_what_the_broker_did_not_confirm_stays(database: Database, record: Record) -> None:
    await _place(database, "a")
    relay = Relay("orders", database, record)
    record.fails = [BrokerUnavailable("gone")]
    with pytest.raises(BrokerUnavailable):
        await relay._turn()
    await relay._turn()
    assert record.names == ["a"]


async def test_one_relay_works_at_a_time_and_another_takes_over(
    database: Database, record: Record, eventually: Eventually
) -> None:
    relays = [Relay("orders", database, record, poll_s=0.01) for _ in range(3)]
    for relay in relays:
        await relay.start()
    names: list[str] = []
    for number in range(20):
        names.append(str(number))
        await _place(database, str(number))
    await eventually(lambda: _published(record, *names), "all was published once")
    assert record.publishing_max == 1
    holder = await database.read(
        lambda connection: connection.fetchval("SELECT holder FROM journal_relay WHERE name = 'signed'")
    )
    assert holder in {relay._holder for relay in relays}
    for relay in relays:
        await relay.stop()
    await _place(database, "after")
    successor = Relay("orders", database, record, poll_s=0.01)
    await successor.start()
    # A relay that stops in order gives its lease back: five seconds are not waited for.
    async with asyncio.timeout(3):
        while record.names != [*names, "after"]:
            await asyncio.sleep(0.01)
    await successor.stop()


async def test_a_relay_that_does_not_reach_the_broker_leaves_the_work_to_another_at_once(
    database: Database, record: Record
) -> None:
    away = Record()
    away.fails = [BrokerUnavailable("gone")]
    cut_off, other = Relay("orders", database, away), Relay("orders", database, record)
    await _place(database, "a")
    with pytest.raises(BrokerUnavailable):
        await cut_off._turn()
    await other._turn()
    assert record.names == ["a"]


async def test_a_relay_that_was_frozen_past_its_lease_does_not_move_the_cursor(
    database: Database, record: Record
) -> None:
    await _place(database, "a")
    frozen, other = Relay("orders", database, record), Relay("orders", database, record)
    freeze, thaw = asyncio.Event(), asyncio.Event()
    publish = record.publish

    async def publish_slowly(messages: Sequence[Message]) -> None:
        await publish(messages)
        if not freeze.is_set():
            freeze.set()
            await thaw.wait()

    record.publish = publish_slowly  # type: ignore[method-assign]
    turn = asyncio.create_task(frozen._turn())
    await freeze.wait()
    await _expire_lease(database)
    await other._turn()
    await _place(database, "b")
    await other._turn()
    thaw.set()
    await turn
    await other._turn()
    assert record.names == ["a", "a", "b"]


async def test_a_cursor_that_is_set_back_publishes_all_again(database: Database, record: Record) -> None:
    relay = Relay("orders", database, record)
    await _place(database, "a")
    await _place(database, "b")
    await relay._turn()
    await database.run(_set_back)
    await relay._turn()
    assert record.names == ["a", "b", "a", "b"]


async def test_a_cursor_that_is_set_back_during_a_batch_stays_there(database: Database, record: Record) -> None:
    relay = Relay("orders", database, record)
    await _place(database, "a")
    await relay._turn()
    await _place(database, "b")
    publish = record.publish

    async def meanwhile(messages: Sequence[Message]) -> None:
        record.publish = publish  # type: ignore[method-assign]
        await database.run(_set_back)
        await publish(messages)

    record.publish = meanwhile  # type: ignore[method-assign]
    await relay._turn()
    await relay._turn()
    assert record.names == ["a", "b", "a", "b"]


@pytest.mark.parametrize("gone", ["position < 0", "position % 3 = 0", "position < 30", "position > 30"])
async def test_a_cursor_goes_back_to_before_all_that_was_said_since_and_not_much_further(
    database: Database, record: Record, gone: str
) -> None:
    # An entry each 60 s, in transactions of ten, and some that were rolled back.
    await database.run(lambda connection: connection.execute(_FILL, 60))
    await database.run_as_owner(
        lambda connection: connection.execute(
            f"""
            DELETE FROM journal
            WHERE {gone};
            UPDATE journal
            SET time = now() - make_interval(mins => 60 - position::integer)
            """
        )
    )
    entries = await database.read(lambda connection: journal.read_after(connection, "0", 0, 60))
    for since in [entry.time for entry in entries]:
        end = await database.read(lambda connection, since=since: journal.end_before(connection, since))
        found = await database.read(lambda connection, end=end: journal.read_after(connection, *end, 60))
        assert found == [entry for entry in entries if entry.time >= since - journal.TRANSACTION_MAX]


async def test_a_cursor_goes_back_before_a_transaction_that_began_first_and_spoke_last(database: Database) -> None:
    now = datetime.now(UTC)
    said = [("100", "early", 600), ("103", "quick", 30), ("102", "slow", 20)]
    await _place(database, *(name for _, name, _ in said))
    for number, name, ago_s in said:
        await database.run_as_owner(
            lambda connection, row=(name, number, now - timedelta(seconds=ago_s)): connection.execute(
                "UPDATE journal SET transaction_id = $2::text::xid8, time = $3 WHERE subject = $1", *row
            )
        )
    end = await database.read(lambda connection: journal.end_before(connection, now - timedelta(seconds=25)))
    entries = await database.read(lambda connection: journal.read_after(connection, *end, 10))
    assert [entry.subject for entry in entries] == ["slow", "quick"]


async def test_an_absent_broker_is_told_without_tracebacks_and_the_journal_waits(
    database: Database, record: Record, eventually: Eventually
) -> None:
    record.fails = [BrokerUnavailable("gone") for _ in range(3)]
    relay = Relay("orders", database, record, poll_s=0.01)
    with capture_logs() as logs:
        await relay.start()
        await _place(database, "a")
        await eventually(lambda: _published(record, "a"), "it was published once the broker was back")
        await relay.stop()
    assert [line["event"] for line in logs] == ["a loop waits"] * 3
    assert not any("exc_info" in line for line in logs)


async def test_a_commit_that_wrote_events_wakes_the_relay(
    database: Database, record: Record, eventually: Eventually
) -> None:
    relay = Relay("orders", database, record, poll_s=60.0)
    await relay.start()
    await asyncio.sleep(0.3)  # The first round is over, and the relay rests for a minute.
    await _place(database, "a")
    await eventually(lambda: _published(record, "a"), "the commit woke the relay")
    await relay.stop()


async def test_the_journal_reaches_a_real_broker(database: Database, events_url: str, eventually: Eventually) -> None:
    broker = NatsBroker(events_url, "orders")
    await broker.start()
    relay = Relay("orders", database, broker)
    await relay.start()
    await _place(database, "a", "b")
    subscription = await _subscribed(broker)
    names: list[str] = []
    async with asyncio.timeout(10):
        while len(names) < 2:
            for delivery in await subscription.fetch(10, 0.5):
                names += [envelope.read(event, Placed).name for event in _events(delivery.body)]
                await delivery.acknowledge()
    assert names == ["a", "b"]
    await relay.stop()
    await broker.stop()


async def _subscribed(broker: NatsBroker):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(5):
        while True:
            try:
                return await broker.subscribe("test", ["order.*"])
            except BrokerUnavailable:
                await asyncio.sleep(0.02)


async def _set_back(connection: Connection) -> None:
    await connection.execute("UPDATE journal_relay SET transaction_id = '0', position = 0 WHERE name = 'signed'")


async def _expire_lease(database: Database) -> None:
    await database.run(lambda connection: connection.execute("UPDATE journal_relay SET leased_until = '-infinity'"))


# Every service's own migration


@pytest.mark.parametrize(
    "folder", sorted(Path(__file__).parents[2].glob("services/*/migrations")), ids=lambda path: path.parts[-2]
)
def test_each_service_has_the_tables_word_for_word(folder: Path) -> None:
    migrations = "".join(path.read_text() for path in sorted(folder.glob("*.sql")))
    if "CREATE TABLE journal " in migrations:
        assert journal.SCHEMA.strip() in migrations
        assert journal.NUMBERS.strip() in migrations
        assert journal.ACTORS.strip() in migrations
        assert journal.SIGNED.strip() in migrations
    if "CREATE TABLE inbox " in migrations:
        assert inbox.SCHEMA.strip() in migrations


def test_event_ids_are_in_the_order_of_their_making() -> None:
    ids: list[UUID] = [_event("a").id for _ in range(100)]
    assert [id_.version for id_ in ids] == [7] * 100
    assert ids == sorted(ids)
