"""The public HTTP API, for buyers and administrators, and the service as a whole."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from chassis.messaging import envelope
from chassis.messaging.broker import BrokerUnavailable, Message
from chassis.messaging.brokers import broker_for
from chassis.messaging.envelope import Envelope
from payments.save_payment_method import METHODS_MAX

from .conftest import Shop, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
NO_SUCH = "0198c2a7-5d10-7e21-b2c3-4d5e6f708191"


async def refund(shop: Shop, payment_id: UUID, body: dict[str, Any], key: str | None = None) -> Any:
    """Request a refund, with a new `Idempotency-Key` unless one is given."""
    headers = shop.admin | {"idempotency-key": str(uuid7()) if key is None else key}
    return await shop.client.post(f"/payments/{payment_id}/refunds", json=body, headers=headers)


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


# Events


async def test_events_of_orders_capture_and_refund_and_events_are_emitted_in_order(
    shop: Shop, module_events_url: str, signed_message: Callable[[Envelope], Message]
) -> None:
    order_id, payment_id = await shop.authorized()
    broker = broker_for(module_events_url, "orders")
    await broker.start()

    async def emit(kind: str) -> None:
        event = Envelope(
            id=uuid7(),
            source="/orders",
            type=kind,
            subject=str(order_id),
            time=datetime.now(UTC),
            sequence="1",
            correlationid="test",
            data=msgspec.Raw(msgspec.json.encode({"order_id": str(order_id)})),
        )
        message = signed_message(event)

        async def is_published() -> bool:
            try:
                await broker.publish([message])
            except BrokerUnavailable:
                return False
            return True

        await eventually(is_published)

    await emit("order.confirmed")
    await shop.wait_for_status(payment_id, "captured")
    await emit("order.cancelled")
    await shop.wait_for_status(payment_id, "refunded")
    subscription = await broker.subscribe("test", ["payment.*"])
    received: list[str] = []

    async def all_are_received() -> bool:
        deliveries = await subscription.fetch(100, 0.2)
        for event in [envelope.decode(text) for delivery in deliveries for text in envelope.split(delivery.body)]:
            if event.subject == str(payment_id):
                assert event.source == "/payments"
                received.append(event.type)
        return len(received) >= 3

    await eventually(all_are_received)
    assert received == ["payment.authorized", "payment.captured", "payment.refunded"]
    await broker.stop()


# Reading


async def test_a_buyer_reads_own_payments_and_an_administrator_reads_all(shop: Shop) -> None:
    order_id, payment_id = await shop.authorized("149.99")
    path = f"/payments?order_id={order_id}"
    mine = (await shop.client.get(path, headers=shop.buyer)).json()
    assert mine["next_cursor"] is None
    [payment] = mine["items"]
    assert payment["id"] == str(payment_id)
    assert payment["status"] == "authorized"
    assert (payment["amount"], payment["refunded"]) == (usd("149.99"), usd("0.00"))
    assert payment["payment_method"] == {"token": "pm_card_visa", "brand": "visa", "last4": "4242"}
    assert payment["authorized_at"].endswith("Z")
    assert payment["captured_at"] is None
    assert (await shop.client.get(path, headers=shop.admin)).json() == mine
    assert (await shop.client.get(path, headers=shop.stranger)).json()["items"] == []


async def test_a_payment_of_another_user_reads_like_one_that_does_not_exist(shop: Shop) -> None:
    _, payment_id = await shop.authorized()
    for suffix in ("", "/refunds"):
        others = await shop.client.get(f"/payments/{payment_id}{suffix}", headers=shop.stranger)
        unknown = await shop.client.get(f"/payments/{NO_SUCH}{suffix}", headers=shop.stranger)
        assert others.status_code == unknown.status_code == 404
        assert others.json() | {"correlation_id": ""} == unknown.json() | {"correlation_id": ""}


async def test_pages_list_every_payment_once(shop: Shop) -> None:
    made = [str((await shop.authorized())[1]) for _ in range(5)]
    read: list[str] = []
    cursor = ""
    while True:
        page = (await shop.client.get(f"/payments?limit=2{cursor}", headers=shop.buyer)).json()
        read += [payment["id"] for payment in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert read == sorted(set(read), reverse=True)
    assert set(made) <= set(read)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=e30", "order_id=nonsense"])
async def test_an_invalid_query_is_refused(shop: Shop, query: str) -> None:
    answer = await shop.client.get(f"/payments?{query}", headers=shop.buyer)
    assert answer.status_code == 422, answer.text


# Manual settlement


async def test_a_repeated_manual_capture_has_one_effect(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    again = await shop.client.post(f"/payments/{payment_id}/capture", headers=shop.keyed())
    assert (again.status_code, again.json()["status"]) == (200, "captured")
    assert await shop.events(payment_id) == ["payment.authorized", "payment.captured"]
    too_late = await shop.client.post(f"/payments/{payment_id}/void", headers=shop.keyed())
    assert (too_late.status_code, too_late.json()["code"]) == (409, "payment_captured")


async def test_a_payment_is_not_voided_by_hand_while_its_order_may_be_confirmed(shop: Shop) -> None:
    order_id, payment_id = await shop.authorized()
    answer = await shop.client.post(f"/payments/{payment_id}/void", headers=shop.keyed())
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_use")
    assert await shop.void(order_id) == ["voided"]  # The order itself may void it.
    again = await shop.client.post(f"/payments/{payment_id}/void", headers=shop.keyed())
    assert (again.status_code, again.json()["status"]) == (200, "voided")


async def test_an_administrator_voids_an_old_payment_and_a_repetition_has_no_effect(shop: Shop) -> None:
    _, payment_id = await shop.authorized()
    await shop.age(payment_id)
    for _ in range(2):
        answer = await shop.client.post(f"/payments/{payment_id}/void", headers=shop.keyed())
        assert (answer.status_code, answer.json()["status"]) == (200, "voided")
    too_late = await shop.client.post(f"/payments/{payment_id}/capture", headers=shop.keyed())
    assert (too_late.status_code, too_late.json()["code"]) == (409, "payment_not_authorized")
    assert await shop.events(payment_id) == ["payment.authorized", "payment.voided"]


@pytest.mark.parametrize("action", ["capture", "void", "refunds"])
async def test_only_administrators_capture_void_and_refund(shop: Shop, action: str) -> None:
    _, payment_id = await shop.authorized()
    body = {"json": {"reason": "because"}} if action == "refunds" else {}
    path = f"/payments/{payment_id}/{action}"
    assert (await shop.client.post(path, headers=shop.buyer, **body)).status_code == 403
    assert (await shop.client.post(path, **body)).status_code == 401
    assert (await shop.client.post(f"/payments/{NO_SUCH}/{action}", headers=shop.keyed(), **body)).status_code == 404
    assert (await shop.payment(payment_id))["status"] == "authorized"


# Refunds


async def test_a_partial_refund_and_then_the_rest(shop: Shop) -> None:
    _, payment_id = await shop.captured("49.99")
    part = await refund(shop, payment_id, {"amount": usd("10.00"), "reason": "A scratch"})
    assert part.status_code == 201
    assert (part.json()["status"], part.json()["amount"], part.json()["reason"]) == ("done", usd("10.00"), "A scratch")
    assert (await shop.payment(payment_id))["status"] == "partially_refunded"
    rest = await refund(shop, payment_id, {"reason": "The rest"})
    assert rest.json()["amount"] == usd("39.99")
    payment = await shop.payment(payment_id)
    assert (payment["status"], payment["refunded"]) == ("refunded", usd("49.99"))
    listed = (await shop.client.get(f"/payments/{payment_id}/refunds", headers=shop.buyer)).json()
    assert [item["id"] for item in listed["items"]] == [rest.json()["id"], part.json()["id"]]
    assert (await shop.events(payment_id))[2:] == ["payment.refunded", "payment.refunded"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": {"amount": "50.00", "currency": "USD"}, "reason": "x"}, 409, "refund_exceeds_payment"),
        ({"amount": {"amount": "10.00", "currency": "EUR"}, "reason": "x"}, 422, "wrong_currency"),
        ({"amount": {"amount": "0.00", "currency": "USD"}, "reason": "x"}, 422, "invalid_amount"),
        ({"amount": {"amount": "-1.00", "currency": "USD"}, "reason": "x"}, 422, "invalid_amount"),
        ({"amount": {"amount": "1.005", "currency": "USD"}, "reason": "x"}, 422, "invalid"),
        ({"amount": {"amount": "1e3", "currency": "USD"}, "reason": "x"}, 422, "invalid"),
        ({"amount": 10, "reason": "x"}, 422, "invalid"),
        ({"amount": {"amount": "1", "currency": "USD", "more": 1}, "reason": "x"}, 422, "invalid"),
        ({"reason": ""}, 422, "invalid"),
        ({"reason": "x" * 201}, 422, "invalid"),
        ({"reason": "a\x00b"}, 422, "invalid"),
        ({"reason": "A scratch\n\nYou get 1000.00 USD more."}, 422, "invalid_text"),
        ({"reason": "\u202eA scratch"}, 422, "invalid_text"),
        ({"reason": " "}, 422, "invalid_text"),
        ({"reason": None}, 422, "invalid"),
        ({}, 422, "invalid"),
        ([], 422, "invalid"),
        ({"reason": "x", "status": "done"}, 422, "invalid"),
    ],
)
async def test_an_invalid_refund_is_refused_and_has_no_effect(shop: Shop, body: Any, status: int, code: str) -> None:
    _, payment_id = await shop.captured("49.99")
    answer = await refund(shop, payment_id, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert await shop.rows("SELECT FROM refunds WHERE payment_id = $1", payment_id) == []


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"reason": NaN}', 400),
        (b'{"reason": "x"', 400),
        (b"", 400),
        (b'{"reason": "\xff"}', 400),
        (b'{"reason": "a", "reason": "b"}', 400),
        (b'{"reason": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        (b'{"reason": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_a_malformed_body_is_refused(shop: Shop, content: bytes, status: int) -> None:
    _, payment_id = await shop.captured()
    headers = shop.keyed() | {"content-type": "application/json"}
    answer = await shop.client.post(f"/payments/{payment_id}/refunds", content=content, headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_payment_that_was_not_captured_is_not_refunded(shop: Shop) -> None:
    _, payment_id = await shop.authorized()
    answer = await refund(shop, payment_id, {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_captured")


async def test_a_repeated_refund_request_gets_the_same_refund(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    body = {"amount": usd("10.00"), "reason": "x"}
    first = await refund(shop, payment_id, body, key="once")
    again = await refund(shop, payment_id, body, key="once")
    assert (again.status_code, again.json()) == (201, first.json())
    other = await refund(shop, payment_id, body | {"reason": "y"}, key="once")
    assert (other.status_code, other.json()["code"]) == (422, "key_used_again")
    assert (await shop.payment(payment_id))["refunded"] == usd("10.00")


async def test_a_request_that_moves_money_requires_a_key(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    for action, body in (("refunds", {"reason": "x"}), ("capture", None), ("void", None)):
        answer = await shop.client.post(f"/payments/{payment_id}/{action}", json=body, headers=shop.admin)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required"), action
    assert await shop.rows("SELECT FROM refunds WHERE payment_id = $1", payment_id) == []


async def test_a_key_belongs_to_its_administrator(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    path, body = f"/payments/{payment_id}/refunds", {"amount": usd("10.00"), "reason": "x"}
    colleague = {"authorization": f"Bearer {shop.access_token(user_id=str(uuid7()), roles=['customer', 'admin'])}"}
    key = {"idempotency-key": "1"}
    mine = await shop.client.post(path, json=body, headers=shop.admin | key)
    theirs = await shop.client.post(path, json=body, headers=colleague | key)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]
    other = await shop.client.post(path, json=body | {"reason": "y"}, headers=colleague | key)
    assert (other.status_code, other.json()["code"]) == (422, "key_used_again")
    assert (await shop.payment(payment_id))["refunded"] == usd("20.00")


async def test_a_refund_without_an_administrator_is_found_by_its_key_alone(shop: Shop) -> None:
    _, payment_id = await shop.captured()
    first = await refund(shop, payment_id, {"amount": usd("10.00"), "reason": "x"}, key="once")
    await shop.rows("UPDATE refunds SET requested_by = NULL WHERE payment_id = $1", payment_id)
    again = await refund(shop, payment_id, {"amount": usd("10.00"), "reason": "x"}, key="once")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
async def test_an_invalid_key_is_refused(shop: Shop, key: str) -> None:
    _, payment_id = await shop.captured()
    assert (await refund(shop, payment_id, {"reason": "x"}, key=key)).status_code == 400


async def test_fifty_concurrent_refunds_never_exceed_the_payment(shop: Shop) -> None:
    _, payment_id = await shop.captured("49.99")
    body = {"amount": usd("5.00"), "reason": "x"}
    answers = await asyncio.gather(*(refund(shop, payment_id, body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] * 9 + [409] * 41
    assert (await shop.payment(payment_id))["refunded"] == usd("45.00")


# The ledger


async def test_the_ledger_has_two_entries_for_every_movement_of_money(shop: Shop) -> None:
    _, payment_id = await shop.captured("49.99")
    await refund(shop, payment_id, {"amount": usd("10.00"), "reason": "x"})
    page = (await shop.client.get(f"/ledger?payment_id={payment_id}", headers=shop.admin)).json()
    assert [(entry["account"], entry["amount"]["amount"]) for entry in page["items"]] == [
        ("provider_receivable", "-10.00"),
        ("refunds", "10.00"),
        ("sales", "-49.99"),
        ("provider_receivable", "49.99"),
    ]
    assert (await shop.client.get("/ledger", headers=shop.buyer)).status_code == 403


async def test_the_ledger_sums_to_zero_and_agrees_with_the_provider(shop: Shop) -> None:
    balances = (await shop.client.get("/ledger?limit=1", headers=shop.admin)).json()["balances"]
    minor = {item["account"]: round(float(item["balance"]["amount"]) * 100) for item in balances}
    assert sum(minor.values()) == 0
    [provider] = await shop.rows(
        """
        SELECT (SELECT coalesce(sum(amount_minor), 0) FROM sandbox_payments WHERE state = 'captured')
             - (SELECT coalesce(sum(amount_minor), 0) FROM sandbox_refunds) AS minor
        """
    )
    assert minor.get("provider_receivable", 0) == provider["minor"]


# Payment methods


async def test_methods_are_saved_listed_and_removed(shop: Shop) -> None:
    shop.buyer, buyer = shop.stranger, shop.buyer
    try:
        first = await shop.client.post("/payment-methods", json={"token": "pm_card_visa"}, headers=shop.buyer)
        second = await shop.client.post(
            "/payment-methods", json={"token": "pm_sandbox_down", "label": "Spare"}, headers=shop.buyer
        )
        assert (first.status_code, first.json()["default"], second.json()["default"]) == (201, True, False)
        assert (second.json()["brand"], second.json()["label"]) == ("sandbox", "Spare")
        path = f"/payment-methods/{first.json()['id']}"
        assert (await shop.client.delete(path, headers=buyer)).status_code == 404
        assert (await shop.client.delete(path, headers=shop.buyer)).status_code == 204
        assert (await shop.client.delete(path, headers=shop.buyer)).status_code == 404
        [left] = (await shop.client.get("/payment-methods", headers=shop.buyer)).json()["items"]
        assert (left["id"], left["default"]) == (second.json()["id"], True)
    finally:
        shop.buyer = buyer


async def test_a_repeated_request_to_save_a_method_gets_the_same_method(shop: Shop) -> None:
    headers = shop.buyer | {"idempotency-key": "my-card"}
    body = {"token": "pm_card_visa"}
    answers = await asyncio.gather(
        *(shop.client.post("/payment-methods", json=body, headers=headers) for _ in range(10))
    )
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(201, answers[0].json()["id"])}
    other = await shop.client.post("/payment-methods", json=body | {"label": "Mine"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_used_again")


async def test_one_of_many_methods_saved_concurrently_is_the_default(shop: Shop) -> None:
    buyer = uuid7()
    headers = {"authorization": f"Bearer {shop.access_token(user_id=str(buyer))}"}
    answers = await asyncio.gather(
        *(
            shop.client.post("/payment-methods", json={"token": "pm_card_visa"}, headers=headers)
            for _ in range(METHODS_MAX + 5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] * METHODS_MAX + [409] * 5
    rows = await shop.rows("SELECT FROM payment_methods WHERE user_id = $1 AND is_default", buyer)
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"token": "pm_no_such"}, "unknown_payment_method"),
        ({"token": ""}, "invalid"),
        ({"token": "pm_card_visa", "label": "a\x00b"}, "invalid"),
        ({"token": "pm_card_visa", "label": "Mine\nTheirs"}, "invalid_name"),
        ({"token": "pm_card_visa", "label": "Mine\u202e"}, "invalid_name"),
        ({"token": "pm_card_visa", "label": "\u3164"}, "invalid_name"),
        ({"token": "pm_card_visa", "default": 1}, "invalid"),
        ({"token": "pm_card_visa", "user_id": NO_SUCH}, "invalid"),
        ({"token": None}, "invalid"),
        ({}, "invalid"),
    ],
)
async def test_an_invalid_method_is_refused(shop: Shop, body: dict[str, Any], code: str) -> None:
    answer = await shop.client.post("/payment-methods", json=body, headers=shop.buyer)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
