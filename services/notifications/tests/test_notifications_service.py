"""The whole service: it consumes events, sends mails and answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import hypothesis
import msgspec
import pytest
import schemathesis
import stamina
from hypothesis import given
from uuid_utils.compat import uuid7

from chassis.messaging import envelope
from chassis.messaging.broker import Broker, BrokerUnavailable, Message
from chassis.messaging.brokers import broker_for
from notifications.app import build

Client = httpx.AsyncClient
Publish = Callable[..., Any]
MAIL = {"toaddr": "ada@example.com", "subject": "Your question", "body": "The answer is 42.\n"}


@pytest.fixture
async def broker(events_url: str) -> AsyncIterator[Broker]:
    broker = broker_for(events_url, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def publish(broker: Broker, signed_message: Callable[[envelope.Envelope], Message]) -> Publish:
    """Without the ids by which the broker itself would drop repetitions: the service has to."""

    async def run(*events: envelope.Envelope) -> None:
        messages = [signed_message(event) for event in events]
        async for attempt in stamina.retry_context(on=BrokerUnavailable, attempts=None, timeout=10, wait_max=0.1):
            with attempt:
                await broker.publish(messages)

    return run


def shipped(user_id: str) -> dict[str, Any]:
    return {"order_id": str(uuid7()), "user_id": user_id, "name": "Ada", "email": "ada@example.com"}


async def test_an_order_is_reported_by_mail_and_listed_for_its_buyer_only(
    client: Client, publish: Publish, make_event: Any, mailbox: Any, until: Any, access_token: Callable[..., str]
) -> None:
    ada, eve = str(uuid7()), str(uuid7())
    order = shipped(ada)
    event = make_event("order.shipped", order)
    await publish(event, make_event("order.shipped", shipped(ada)), event, make_event("order.shipped", order))
    await until(lambda: len(mailbox.mails) == 2)

    async def listed(user_id: str, **query: str) -> Any:
        headers = {"authorization": f"Bearer {access_token(user_id)}"}
        return (await client.get("/notifications", params=query, headers=headers)).json()

    async def is_marked_sent() -> bool:
        return all(item["status"] == "sent" for item in (await listed(ada))["items"])

    await until(is_marked_sent)
    (message,) = (await listed(ada, order_id=order["order_id"]))["items"]
    assert message["kind"] == "order_shipped"
    assert message["toaddr"] == "ada@example.com"
    assert message["subject"] == f"Your order {order['order_id']} is on its way"
    assert message["sent_at"] > message["created_at"]
    assert (await listed(eve, order_id=order["order_id"])) == {"items": [], "next_cursor": None}
    first = await listed(ada, limit="1")
    second = await listed(ada, limit="1", cursor=first["next_cursor"])
    assert {item["id"] for page in (first, second) for item in page["items"]} == {
        item["id"] for item in (await listed(ada))["items"]
    }
    assert second["next_cursor"] is None
    assert len(mailbox.mails) == 2


async def test_an_administrator_sees_the_messages_of_an_order_and_not_those_of_other_people(
    client: Client, publish: Publish, make_event: Any, mailbox: Any, until: Any, as_administrator: dict[str, str]
) -> None:
    order = shipped(str(uuid7()))
    await publish(make_event("order.shipped", order), make_event("order.shipped", shipped(str(uuid7()))))
    await until(lambda: len(mailbox.mails) == 2)
    path = f"/notifications?order_id={order['order_id']}"
    [message] = (await client.get(path, headers=as_administrator)).json()["items"]
    assert (message["kind"], message["order_id"]) == ("order_shipped", order["order_id"])
    assert (await client.get("/notifications", headers=as_administrator)).json()["items"] == []


async def test_a_requested_mail_is_sent_and_two_events_are_emitted(
    client: Client, broker: Broker, mailbox: Any, until: Any, as_administrator: dict[str, str], publish: Publish
) -> None:
    await publish()
    heard = await broker.subscribe("test", ["email.*", "notification.*"])
    answer = await client.post("/send", json=MAIL, headers=as_administrator | {"x-request-id": "request-1"})
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    await until(lambda: mailbox.to("ada@example.com"))
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Your question"
    assert answer.json()["id"] in mail["Message-ID"]
    events: list[envelope.Envelope] = []
    async with asyncio.timeout(10):
        while len(events) < 2:
            for delivery in await heard.fetch(10, 0.5):
                events += [envelope.decode(event) for event in envelope.split(delivery.body)]
    assert [event.type for event in events] == ["email.requested", "notification.sent"]
    assert {event.correlationid for event in events} == {"request-1"}


async def test_the_same_key_sends_one_mail(
    client: Client, mailbox: Any, until: Any, query: Any, as_administrator: dict[str, str]
) -> None:
    headers = as_administrator | {"idempotency-key": "key-1"}
    answers = await asyncio.gather(*(client.post("/send", json=MAIL, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await client.post("/send", json=MAIL | {"subject": "Another"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_used_again")
    assert len(await query("SELECT 1 FROM journal WHERE type = 'email.requested'")) == 1


async def test_only_administrators_send(
    client: Client, query: Any, access_token: Callable[..., str], service_token: Callable[[str, str], str]
) -> None:
    for token, status in (
        (None, 401),
        ("nonsense", 401),
        (access_token(str(uuid7())), 403),
        (service_token("orders", "notifications"), 403),
    ):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await client.post("/send", json=MAIL, headers=headers)
        assert answer.status_code == status
    assert (await client.get("/notifications")).status_code == 401
    assert await query("SELECT 1 FROM journal") == []


BAD_MAILS: list[tuple[Any, int]] = [
    (b"", 400),
    (b'{"toaddr": "ada@example.com"', 400),
    (b'{"toaddr": "a@b", "toaddr": "eve@b", "subject": "s", "body": "b"}', 400),
    (b'{"toaddr": "a@b", "subject": NaN, "body": "b"}', 400),
    (b"\xff", 400),
    (b"[" * 40 + b"]" * 40, 400),
    ([], 422),
    ({}, 422),
    (MAIL | {"from": "eve@example.com"}, 422),
    (MAIL | {"toaddr": None}, 422),
    (MAIL | {"toaddr": ["ada@example.com"]}, 422),
    (MAIL | {"toaddr": "nobody"}, 422),
    (MAIL | {"toaddr": "ada@localhost"}, 422),
    (MAIL | {"toaddr": "ada@ｌｏｃａｌｈｏｓｔ"}, 422),
    (MAIL | {"toaddr": "ada@shop．ｔｅｓｔ"}, 422),
    (MAIL | {"toaddr": "a@example.com, b@example.com"}, 422),
    (MAIL | {"toaddr": "ada@example.com\r\nBcc: eve@example.com"}, 422),
    (MAIL | {"toaddr": "a" * 255 + "@example.com"}, 422),
    (MAIL | {"subject": ""}, 422),
    (MAIL | {"subject": "   "}, 422),
    (MAIL | {"subject": "Hello\r\nBcc: eve@example.com"}, 422),
    (MAIL | {"subject": "Hello\u2028Bcc"}, 422),
    (MAIL | {"subject": "Hello\u202e"}, 422),
    (MAIL | {"subject": "\u3164"}, 422),
    (MAIL | {"body": "Hello\u2066"}, 422),
    (MAIL | {"body": "\x1b[2J"}, 422),
    (MAIL | {"subject": "x" * 999}, 422),
    (MAIL | {"subject": 7}, 422),
    (MAIL | {"body": ""}, 422),
    (MAIL | {"body": "x" * (32 * 1024 + 1)}, 422),
    (MAIL | {"body": "é" * (16 * 1024 + 1)}, 422),
    (MAIL | {"body": "\x00"}, 422),
    (MAIL | {"body": "x" * 70_000}, 413),
]


async def test_a_bad_mail_is_refused_with_a_problem_and_without_an_effect(
    client: Client, query: Any, as_administrator: dict[str, str]
) -> None:
    for body, status in BAD_MAILS:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        answer = await client.post(
            "/send", content=content, headers=as_administrator | {"content-type": "application/json"}
        )
        assert (str(body)[:80], answer.status_code) == (str(body)[:80], status)
        assert answer.headers["content-type"] == "application/problem+json"
    as_text = await client.post("/send", content=b"hello", headers=as_administrator | {"content-type": "text/plain"})
    assert as_text.status_code == 415
    for key in ("", "k" * 256):
        answer = await client.post("/send", json=MAIL, headers=as_administrator | {"idempotency-key": key})
        assert (key, answer.status_code) == (key, 400)
    for search in ("order_id=no-uuid", "limit=0", "limit=101", "cursor=!!", "cursor=MQ"):
        answer = await client.get(f"/notifications?{search}", headers=as_administrator)
        assert (search, answer.status_code) == (search, 422)
    assert await query("SELECT 1 FROM journal") == []


async def test_an_unknown_address_is_looked_up_at_users(
    client: Client, publish: Publish, make_event: Any, mailbox: Any, users_peer: Any, until: Any, query: Any
) -> None:
    users_peer.is_down = True
    ada, bob, gone = str(uuid7()), str(uuid7()), str(uuid7())
    users_peer.unknown.add(gone)
    for user_id, wanted in ((ada, True), (bob, False)):
        preferences = {"order_emails": True, "payment_emails": wanted}
        users_peer.people[user_id] = {
            "id": user_id, "name": "N", "email": f"{user_id}@example.com", "preferences": preferences, "version": 1,
        }  # fmt: skip
    refunds = [
        {
            "payment_id": str(uuid7()), "order_id": str(uuid7()), "user_id": user_id, "refund_id": str(uuid7()),
            "amount": {"amount": "5.00", "currency": "USD"}, "reason": "order_cancelled",
        }
        for user_id in (ada, bob, gone)
    ]  # fmt: skip
    await publish(*(make_event("payment.refunded", refund) for refund in refunds))

    async def written() -> bool:
        return len(await query("SELECT 1 FROM notifications WHERE state = 'pending'")) == 3

    await until(written)
    users_peer.is_down = False
    await until(lambda: mailbox.to(f"{ada}@example.com"))

    async def ended() -> bool:
        return not await query("SELECT 1 FROM notifications WHERE state = 'pending'")

    await until(ended)
    rows = await query("SELECT user_id::text, state, code FROM notifications")
    assert {row["user_id"]: (row["state"], row["code"]) for row in rows} == {
        ada: ("sent", None),
        bob: ("suppressed", "not_wanted"),
        gone: ("suppressed", "recipient_unknown"),
    }
    assert len(mailbox.mails) == 1


async def test_an_event_of_another_shape_becomes_a_dead_letter_and_others_are_handled(
    client: Client, publish: Publish, make_event: Any, mailbox: Any, until: Any, query: Any
) -> None:
    await publish(make_event("order.shipped", {"order_id": 7}), make_event("order.shipped", shipped(str(uuid7()))))
    await until(lambda: len(mailbox.mails) == 1)

    async def is_dead_letter() -> bool:
        return bool(await query("SELECT 1 FROM dead_letters WHERE type = 'order.shipped'"))

    await until(is_dead_letter)


async def test_the_service_is_ready_while_broker_and_mail_server_are_down(
    settings: Any, serve: Any, as_administrator: dict[str, str]
) -> None:
    alone = msgspec.structs.replace(settings, events_url="nats://127.0.0.1:1/nowhere", smtp_port=1)
    client = await serve(build(alone))
    assert (await client.post("/send", json=MAIL, headers=as_administrator)).status_code == 202


async def test_no_generated_request_ends_in_a_server_error(client: Client, as_administrator: dict[str, str]) -> None:
    def fuzz() -> None:
        for operation in schemathesis.openapi.from_url(f"{client.base_url}/openapi.json").get_all_operations():

            @given(case=operation.ok().as_strategy())
            @hypothesis.settings(max_examples=12, derandomize=True, deadline=None, database=None)
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=as_administrator, checks=[schemathesis.checks.not_a_server_error])

            ask()

    await asyncio.to_thread(fuzz)
