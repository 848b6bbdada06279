"""Every event that anybody promises to say can be recorded, and is found by the order that it is about."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit.chain import Head, entry_after, follow

CONTRACTS = Path(__file__).parents[3] / "contracts"
EVENTS = sorted((CONTRACTS / "events").glob("*.json"))


@pytest.mark.parametrize("file", EVENTS, ids=lambda file: file.stem)
def test_a_promised_event_is_recorded_and_found_by_its_order(file: Path, make_event: Any) -> None:
    said = json.loads(file.read_text())
    assert "audit" in said["consumers"]
    for example in said["examples"]:
        event = make_event(file.stem, example | {"tomorrow": 1}, subject=example.get("order_id") or "x")
        entry = entry_after(Head(), event)
        assert follow(Head(), entry) == Head(1, entry.hash)
        order_id = entry.indexed.order_id
        assert (None if order_id is None else str(order_id)) == example.get("order_id")
