"""What `cartwright verify` rests on: the merge of sorted streams, further looks, and rules that others settle too.

That each promise is checked is shown in tests/e2e/test_planted_faults.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner
from uuid_utils.compat import uuid7

from audit.app import MIGRATIONS
from audit.domain.chain import Entry, Head
from audit.record_events import entries_for
from audit.store.chain import insert_entries
from cartwright import verify
from cartwright.__main__ import app
from cartwright.testkit import servers
from cartwright.testkit.databases import MigratedDatabases
from cartwright.verifier import reads
from cartwright.verifier.audit_journal import follow_chain
from cartwright.verifier.findings import KEPT_MAX, Findings
from cartwright.verifier.quiet import CONSUMED_BY
from cartwright.verifier.snapshots import side_by_side
from chassis.messaging.envelope import Envelope

CONTRACTS = Path(__file__).parents[2] / "contracts" / "events"


async def stream(rows: Sequence[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


async def test_streams_are_merged_key_by_key_with_what_is_doubled_and_what_is_missing() -> None:
    left, right = stream([(1, "a"), (1, "b"), (3, "c")]), stream([(2, "x"), (3, "y")])
    merged = [pair async for pair in side_by_side({"left": left, "right": right})]
    assert merged == [
        (1, {"left": [(1, "a"), (1, "b")], "right": []}),
        (2, {"left": [], "right": [(2, "x")]}),
        (3, {"left": [(3, "c")], "right": [(3, "y")]}),
    ]


def test_what_is_younger_than_the_grace_is_in_flight_and_no_violation() -> None:
    findings = Findings(grace_s=60.0)
    findings.violated("held", "young", age_s=59.0)
    findings.violated("held", "old", age_s=61.0)
    findings.violated("doubled", "young")
    assert [violation.id for violation in findings.violations.values()] == ["old", "young"]
    assert findings.in_flight == {"held": 1}


def test_what_a_later_look_does_not_see_was_in_flight() -> None:
    first, second = Findings(0.0), Findings(0.0)
    first.violated("held", "a")
    first.violated("held", "b")
    second.violated("held", "b")
    second.violated("held", "c")
    second.keep_only_those_in(first)
    assert [violation.id for violation in second.violations.values()] == ["b"]


def test_violations_without_end_take_no_memory_without_end() -> None:
    findings = Findings(0.0)
    for number in range(KEPT_MAX + 1):
        findings.violated("held", number)
    assert len(findings.violations) == KEPT_MAX
    assert findings.are_more


Faults = Callable[[Sequence[Entry], Entry], Awaitable[list[str]]]


def _chain(length: int) -> list[Entry]:
    """As audit writes it."""
    events = [
        Envelope(
            id=uuid7(),
            source="/orders",
            type="order.placed",
            subject=str(uuid7()),
            time=datetime.fromisoformat("2026-01-31T12:00:00.123456+00:00"),
            sequence=str(number),
            correlationid="c",
            data=msgspec.Raw('{"name": "Zoë"}'.encode()),
        )
        for number in range(length)
    ]
    return entries_for(Head(), events)


@pytest.fixture
def faults(migrated: MigratedDatabases) -> Iterator[Faults]:
    """`await faults(entries, head)`: what is found wrong with these entries, as the reader of audit sees them."""
    with migrated(MIGRATIONS) as url:

        async def find(entries: Sequence[Entry], head: Entry) -> list[str]:
            connection = await asyncpg.connect(servers.owner_url(url), timeout=5)
            await insert_entries(connection, entries)  # type: ignore[arg-type]
            rows = await connection.fetch("SELECT * FROM verification.entries ORDER BY position")
            await connection.close(timeout=5)
            findings = Findings(0.0)
            await follow_chain(stream(rows), (head.position, head.hash), findings)
            return [violation.detail for violation in findings.violations.values()]

        yield find


async def test_the_chain_that_audit_writes_holds_by_the_rule_that_is_written_here(faults: Faults) -> None:
    entries = _chain(5)
    assert await faults(entries, entries[-1]) == []


@pytest.mark.parametrize("position", range(5))
async def test_a_change_of_any_entry_breaks_the_chain_there(faults: Faults, position: int) -> None:
    entries = _chain(5)
    changed = replace(entries[position], envelope=entries[position].envelope.replace("Zoë", "Eve"))
    found = await faults([*entries[:position], changed, *entries[position + 1 :]], entries[-1])
    assert found == [f"at position {position + 1}: its content is not what was written"]


async def test_an_entry_that_is_found_by_something_else_breaks_the_chain(faults: Faults) -> None:
    (entry,) = _chain(1)
    other = replace(entry, index=replace(entry.index, subject=str(UUID(int=1))))
    assert await faults([other], entry) == ["at position 1: what it is found by is not what its envelope says"]


async def test_an_end_that_was_cut_off_is_missed(faults: Faults) -> None:
    entries = _chain(3)
    assert await faults(entries[:2], entries[-1]) == ["it ends there, and its head is at 3"]


def test_who_is_waited_for_is_who_listens() -> None:
    contracts = {path.stem: msgspec.json.decode(path.read_bytes()) for path in CONTRACTS.glob("*.json")}
    for service, patterns in CONSUMED_BY.items():
        listens_to = {type_ for type_, contract in contracts.items() if service in contract["consumers"]}
        heard = {type_ for type_ in contracts for pattern in patterns if Path(type_).match(pattern)}
        assert heard == listens_to


def test_the_exit_code_tells_what_holds_from_what_is_broken_and_what_could_not_be_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = CliRunner().invoke
    assert run(app, ["verify", "--data", str(tmp_path)]).exit_code == 2
    for holds, code in ((True, 0), (False, 1)):
        monkeypatch.setattr(verify, "verify_system", lambda *_, holds=holds, **__: holds)
        assert run(app, ["verify", "--data", str(tmp_path)]).exit_code == code


def test_promises_are_told_in_the_order_of_their_numbers() -> None:
    numbers = [promise.number for promise in reads.INVARIANTS]
    assert numbers == sorted(set(numbers))
