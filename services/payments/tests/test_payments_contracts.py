"""Answers and events of payments match `contracts/`; requests and events of other services there can be decoded."""

from typing import Any
from uuid import UUID

import jsonschema
import msgspec
import pytest
from uuid_utils.compat import uuid7

from payments import consumed_events
from payments.http import schemas
from payments.workers import consumer

from .conftest import Shop, contracts

pytestmark = pytest.mark.asyncio(loop_scope="module")
READERS = {
    "/payments": schemas.AuthorizeBatch,
    "/payments/void": schemas.VoidBatch,
    "/payments/lookup": schemas.LookUpPayments,
}


def with_unknown_members(value: Any) -> Any:
    """`value` as a later version of its producer may send it."""
    if isinstance(value, list):
        return [with_unknown_members(item) for item in value]
    if isinstance(value, dict):
        # Money is a value type of the chassis, which gets no new members.
        if set(value) == {"amount", "currency"}:
            return value
        return {key: with_unknown_members(item) for key, item in value.items()} | {"unknown_member": 1}
    return value


async def test_consumed_events_can_be_decoded() -> None:
    read = [(name, contract) for name, contract in contracts("events/*.json") if "payments" in contract["consumers"]]
    assert {name.removeprefix("events/").removesuffix(".json") for name, _ in read} == set(consumer.TYPES)
    for name, contract in read:
        for example in contract["examples"]:
            for data in (example, with_unknown_members(example)):
                if name == "events/user.deleted.json":
                    assert msgspec.convert(data, consumed_events.UserDeleted).user_id == UUID(example["user_id"])
                else:
                    assert msgspec.convert(data, consumed_events.OrderEvent).order_id == UUID(example["order_id"])


@pytest.mark.parametrize(
    ("name", "contract"),
    [(name, contract) for name, contract in contracts("http/payments.*.json") if contract["request"]],
)
async def test_requests_of_other_services_can_be_decoded(name: str, contract: dict[str, Any]) -> None:
    for example in contract["request"]["examples"]:
        for body in (example, with_unknown_members(example)):
            batch = msgspec.convert(body, READERS[contract["path"]])
            [(member, items)] = example.items()
            assert len(getattr(batch, member)) == len(items)


async def test_answers_match_their_contracts(shop: Shop) -> None:
    schemas = {
        (contract["method"], contract["path"]): contract["response"]["schema"]
        for _, contract in contracts("http/payments.*.json")
    }
    order_id = uuid7()
    authorized = await shop.authorize(
        shop.item(order_id),
        shop.item(uuid7(), "pm_card_chargeDeclined"),
        shop.item(uuid7(), "pm_no_such"),
        shop.item(uuid7(), "pm_sandbox_timeout"),
    )
    listed = (await shop.client.get(f"/payments?order_id={order_id}", headers=shop.buyer)).json()
    voided_id = uuid7()
    await shop.void(voided_id)
    authorized += await shop.authorize(shop.item(voided_id))
    captured_id, _ = await shop.captured()
    outcomes = await shop.void(order_id, captured_id)
    voided = [{"order_id": str(order_id), "outcome": outcome} for outcome in outcomes]
    assert {item["outcome"] for item in authorized} == {"authorized", "declined", "refused", "unknown"}
    assert len(listed["items"]) == 1
    looked_up = await shop.look_up(order_id, captured_id, uuid7())
    assert {item["state"] for item in looked_up} == {"voided", "captured"}
    answers = {
        ("POST", "/payments/lookup"): {"items": looked_up},
        ("POST", "/payments"): {"items": authorized},
        ("POST", "/payments/void"): {"items": voided},
        ("GET", "/payments"): listed,
    }
    assert set(answers) == set(schemas)
    for call, body in answers.items():
        check(body, schemas[call])


async def test_emitted_events_match_their_contracts(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    await shop.client.post(f"/payments/{payment_id}/refunds", json={"reason": "x"}, headers=shop.keyed())
    order_id, _ = await shop.authorized()
    await shop.void(order_id)
    await shop.authorize(shop.item(uuid7(), "pm_card_chargeDeclined"))
    produced = {
        name.removeprefix("events/").removesuffix(".json"): contract["schema"]
        for name, contract in contracts("events/*.json")
        if contract["producer"] == "payments"
    }
    rows = await shop.rows("SELECT type, subject, data FROM journal")
    assert {row["type"] for row in rows} == set(produced)
    for row in rows:
        data = msgspec.json.decode(row["data"])
        check(data, produced[row["type"]])
        assert row["subject"] == data["payment_id"]


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
