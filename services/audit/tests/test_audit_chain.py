"""The chain by itself: what it hashes, and what breaks it. No database."""

import hashlib
from typing import Any
from uuid import UUID

import msgspec
import pytest

from audit.chain import GENESIS, Broken, Entry, Head, entry_after, follow
from chassis.messaging import envelope


def chain_of(*events: envelope.Envelope) -> list[Entry]:
    head, entries = Head(), []
    for event in events:
        entries.append(entry_after(head, event))
        head = Head(entries[-1].position, entries[-1].hash)
    return entries


def first_broken(entries: list[Entry]) -> Broken | None:
    head = Head()
    for entry in entries:
        outcome = follow(head, entry)
        if isinstance(outcome, Broken):
            return outcome
        head = outcome
    return None


def test_the_hash_is_the_documented_one(make_event: Any) -> None:
    event = make_event()
    (entry,) = chain_of(event)
    documented = bytes(32) + (1).to_bytes(8, "big") + event.id.bytes + envelope.encode(event)
    assert entry.previous_hash == GENESIS
    assert entry.hash == hashlib.sha256(documented).digest()


def test_an_untouched_chain_holds(make_event: Any) -> None:
    assert first_broken(chain_of(*(make_event() for _ in range(5)))) is None


@pytest.mark.parametrize(
    ("change", "position", "reason"),
    [
        (
            lambda e: [e[0], msgspec.structs.replace(e[1], envelope=e[1].envelope.replace("order.", "0rder.")), e[2]],
            2,
            "content",
        ),
        (lambda e: [e[0], e[2]], 2, "missing"),
        (lambda e: [e[0], e[2], e[1]], 2, "missing"),
        (lambda e: [e[0], msgspec.structs.replace(e[1], previous_hash=bytes(32)), e[2]], 2, "follow"),
        (lambda e: [e[0], msgspec.structs.replace(e[2], position=2), e[1]], 2, "follow"),
    ],
    ids=["altered", "removed", "swapped", "unlinked", "renumbered"],
)
def test_a_changed_chain_is_found_at_the_change(make_event: Any, change: Any, position: int, reason: str) -> None:
    broken = first_broken(change(chain_of(*(make_event() for _ in range(3)))))
    assert broken is not None
    assert broken.position == position
    assert reason in broken.reason


def test_an_entry_that_is_found_by_something_else_than_it_says_is_broken(make_event: Any) -> None:
    entries = chain_of(make_event(correlationid="a-purchase"))
    moved = msgspec.structs.replace(
        entries[0], indexed=msgspec.structs.replace(entries[0].indexed, correlation_id="another")
    )
    assert first_broken([moved]) == Broken(1, "what it is found by is not what its envelope says")


def test_what_was_received_is_kept_byte_for_byte(make_event: Any) -> None:
    """White space, the order of members, the spelling of numbers and letters, and members that audit does not know."""
    members = msgspec.json.decode(envelope.encode(make_event()))
    data = b'{ "amount": 49.90, "times": 1e3,\n"name": "Zo\\u00eb and Zo\xc3\xab" }'
    received = msgspec.json.encode({"tomorrow": [1], "body": "eW91cnM="} | members | {"data": msgspec.Raw(data)})
    assert data in received
    (entry,) = chain_of(envelope.decode(received))
    assert entry.envelope.encode() == received
    assert first_broken([entry]) is None


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
    assert entry.indexed.order_id == (UUID("01890000-0000-7000-8000-000000000001") if found else None)
