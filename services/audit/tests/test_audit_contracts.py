"""Audit records every event of the contracts, with the id of its order."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit.domain.chain import Head
from audit.record_events import entries_for
from audit.verify_chain import verify_entry

CONTRACTS = Path(__file__).parents[3] / "contracts"
EVENTS = sorted((CONTRACTS / "events").glob("*.json"))


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_an_event_of_the_contracts_is_recorded_with_its_order_id(file: Path, make_event: Any) -> None:
    contract = json.loads(file.read_text())
    assert "audit" in contract["consumers"]
    for example in contract["examples"]:
        event = make_event(file.stem, example | {"tomorrow": 1}, subject=example.get("order_id") or "x")
        (entry,) = entries_for(Head(), [event])
        assert verify_entry(Head(), entry) == entry.head
        order_id = entry.index.order_id
        assert (None if order_id is None else str(order_id)) == example.get("order_id")
