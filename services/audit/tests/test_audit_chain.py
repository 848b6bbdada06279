"""The hash chain without a database: the hash, and the changes that break the chain."""

import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from audit.domain.chain import GENESIS, ChainBreak, Entry, Head
from audit.record_events import entries_for
from audit.verify_chain import verify_entry
from chassis.messaging import envelope


def chain_of(*events: envelope.Envelope) -> list[Entry]:
    return entries_for(Head(), events)


def first_break(entries: list[Entry]) -> ChainBreak | None:
    head = Head()
    for entry in entries:
        outcome = verify_entry(head, entry)
        if isinstance(outcome, ChainBreak):
            return outcome
        head = outcome
    return None


def test_the_hash_is_the_documented_one(make_event: Any) -> None:
    event = make_event()
    (entry,) = chain_of(event)
    documented = bytes(32) + (1).to_bytes(8, "big") + event.id.bytes + envelope.encode(event)
    assert entry.previous_hash == GENESIS
    assert entry.hash == hashlib.sha256(documented).digest()


def test_an_unchanged_chain_is_intact(make_event: Any) -> None:
    assert first_break(chain_of(*(make_event() for _ in range(5)))) is None


@pytest.mark.parametrize(
    ("change", "position", "reason"),
    [
        (
            lambda e: [e[0], replace(e[1], envelope=e[1].envelope.replace("order.", "0rder.")), e[2]],
            2,
            "content",
        ),
        (lambda e: [e[0], e[2]], 2, "missing"),
        (lambda e: [e[0], e[2], e[1]], 2, "missing"),
        (lambda e: [e[0], replace(e[1], previous_hash=bytes(32)), e[2]], 2, "follow"),
        (lambda e: [e[0], replace(e[2], position=2), e[1]], 2, "follow"),
    ],
    ids=["altered", "removed", "swapped", "unlinked", "renumbered"],
)
def test_a_changed_chain_is_found_at_the_change(make_event: Any, change: Any, position: int, reason: str) -> None:
    chain_break = first_break(change(chain_of(*(make_event() for _ in range(3)))))
    assert chain_break is not None
    assert chain_break.position == position
    assert reason in chain_break.reason


def test_an_entry_whose_columns_differ_from_its_envelope_breaks_the_chain(make_event: Any) -> None:
    entries = chain_of(make_event(correlationid="a-purchase"))
    moved = replace(entries[0], index=replace(entries[0].index, correlation_id="another"))
    assert first_break([moved]) == ChainBreak(1, "its columns differ from its envelope")


def test_a_received_envelope_is_stored_byte_for_byte(make_event: Any) -> None:
    """White space, the order of members, the form of numbers and escapes, and members that audit does not know."""
    members = msgspec.json.decode(envelope.encode(make_event()))
    data = b'{ "amount": 49.90, "times": 1e3,\n"name": "Zo\\u00eb and Zo\xc3\xab" }'
    received = msgspec.json.encode({"tomorrow": [1], "body": "eW91cnM="} | members | {"data": msgspec.Raw(data)})
    assert data in received
    (entry,) = chain_of(envelope.decode(received))
    assert entry.envelope.encode() == received
    assert first_break([entry]) is None


@pytest.mark.parametrize(
    ("type_", "members", "found"),
    [
        ("order.placed", {"subject": "01890000-0000-7000-8000-000000000001"}, True),
        ("payment.captured", {"data": {"order_id": "01890000-0000-7000-8000-000000000001"}}, True),
        ("notification.sent", {"data": {"order_id": None}}, False),
        ("payment.captured", {"data": {"order_id": 7}}, False),
        ("product.created", {"data": [1, 2]}, False),
        ("order.placed", {"subject": "no uuid"}, False),
    ],
)
def test_the_order_is_taken_from_the_subject_or_the_data(
    make_event: Any, type_: str, members: dict[str, Any], found: bool
) -> None:
    (entry,) = chain_of(make_event(type_, **members))
    assert entry.index.order_id == (UUID("01890000-0000-7000-8000-000000000001") if found else None)
