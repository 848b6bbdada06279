"""Sent events and calls match the contracts. Consumed ones may have unknown members."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest
from uuid_utils.compat import uuid7

from notifications import consumed_events, events
from notifications.clients.payments import PaymentsFound, PaymentsRequest
from notifications.clients.users import UsersFound, UsersRequest
from notifications.domain.notification import Kind
from notifications.drafts import draft_for
from notifications.templates import Templates

CONTRACTS = Path(__file__).parents[3] / "contracts"
READ = {
    "user.registered": consumed_events.UserChanged,
    "user.updated": consumed_events.UserChanged,
    "user.deleted": consumed_events.UserDeleted,
    "order.confirmed": consumed_events.OrderConfirmed,
    "order.cancelled": consumed_events.OrderCancelled,
    "order.shipped": consumed_events.OrderShipped,
    "payment.refunded": consumed_events.PaymentRefunded,
    "email.requested": events.EmailRequested,
}


def contract(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CONTRACTS / name).read_text())
    return loaded


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("type_", READ)
def test_an_event_with_unknown_members_can_be_read(type_: str) -> None:
    said = contract(f"events/{type_}.json")
    assert "notifications" in said["consumers"]
    for example in said["examples"]:
        read = msgspec.convert(example, READ[type_], strict=False)
        assert msgspec.convert(example | {"tomorrow": [1]}, READ[type_], strict=False) == read


@pytest.mark.parametrize("type_", READ)
def test_every_example_can_be_written_as_a_mail(type_: str, make_event: Any) -> None:
    for example in contract(f"events/{type_}.json")["examples"]:
        draft = draft_for(make_event(type_, example))
        if draft is not None and draft.kind is not Kind.EMAIL_REQUESTED:
            more = {"settlement": None} if draft.kind is Kind.ORDER_CANCELLED else {}
            subject, body = Templates().render(draft.kind, draft.data, **more)
            assert subject
            assert "{" not in body


def test_the_call_to_users_keeps_to_its_contract() -> None:
    call = contract("http/users.lookup.json")
    check(json.loads(msgspec.json.encode(UsersRequest([uuid7()]))), call["request"]["schema"])
    for example in call["response"]["examples"]:
        read = msgspec.convert(example, UsersFound, strict=False)
        more = {"items": [item | {"tomorrow": 1} for item in example["items"]]}
        assert msgspec.convert(more, UsersFound, strict=False) == read


def test_the_call_to_payments_keeps_to_its_contract() -> None:
    call = contract("http/payments.lookup.json")
    check(json.loads(msgspec.json.encode(PaymentsRequest([uuid7()]))), call["request"]["schema"])
    for example in call["response"]["examples"]:
        read = msgspec.convert(example, PaymentsFound, strict=False)
        more = {"items": [item | {"tomorrow": 1} for item in example["items"]]}
        assert msgspec.convert(more, PaymentsFound, strict=False) == read


async def test_emitted_events_and_answers_match_their_contracts(
    client: httpx.AsyncClient,
    until: Any,
    query: Any,
    as_administrator: dict[str, str],
    access_token: Callable[..., str],
    make_event: Any,
    database: Any,
) -> None:
    from notifications.write_notifications import write_notifications

    for toaddr in ("ada@example.com", "refused@example.com"):
        mail = {"toaddr": toaddr, "subject": "Your question", "body": "42"}
        assert (await client.post("/send", json=mail, headers=as_administrator)).status_code == 202
    ada, order_id = str(uuid7()), str(uuid7())
    event = make_event(
        "order.shipped", {"order_id": order_id, "user_id": ada, "name": "Ada", "email": "ada@example.com"}
    )
    await database.run(lambda connection: write_notifications(connection, [event], templates=Templates()))

    async def all_ended() -> bool:
        return len(await query("SELECT 1 FROM journal WHERE type <> 'email.requested'")) == 3

    await until(all_ended)
    rows = await query("SELECT type, data::text FROM journal")
    assert {row["type"] for row in rows} == {"email.requested", "notification.sent", "notification.failed"}
    for row in rows:
        check(json.loads(row["data"]), contract(f"events/{row['type']}.json")["schema"])
    answer = await client.get(
        "/notifications", params={"order_id": order_id}, headers={"authorization": f"Bearer {access_token(ada)}"}
    )
    assert len(answer.json()["items"]) == 1
    check(answer.json(), contract("http/notifications.messages-of-order.json")["response"]["schema"])
