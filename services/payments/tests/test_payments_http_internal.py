"""The internal HTTP API: orders authorizes and voids, notifications looks up."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from .conftest import Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")
AMOUNTS = {"charged": "49.99", "refunded": "10.00", "refund_pending": "0.00"}


async def provider_state(shop: Shop, payment_id: str) -> str:
    [row] = await shop.rows("SELECT state FROM sandbox_payments WHERE payment_id = $1", UUID(payment_id))
    state: str = row["state"]
    return state


async def test_a_repeated_authorization_has_one_effect(shop: Shop) -> None:
    order_id = uuid7()
    [first] = await shop.authorize(shop.item(order_id))
    [second] = await shop.authorize(shop.item(order_id))
    assert first["outcome"] == "authorized"
    assert first == second
    assert await shop.events(UUID(first["payment_id"])) == ["payment.authorized"]


async def test_fifty_concurrent_requests_for_one_order_authorize_it_once(shop: Shop) -> None:
    order_id = uuid7()
    answers = await asyncio.gather(*(shop.authorize(shop.item(order_id)) for _ in range(50)))
    assert {(answer[0]["outcome"], answer[0]["payment_id"]) for answer in answers} == {
        ("authorized", answers[0][0]["payment_id"])
    }
    assert await shop.events(UUID(answers[0][0]["payment_id"])) == ["payment.authorized"]


async def test_one_failed_item_does_not_affect_its_batch(shop: Shop) -> None:
    ids = [uuid7() for _ in range(6)]
    outcomes = await shop.authorize(
        shop.item(ids[0]),
        shop.item(ids[1], "pm_card_chargeDeclined"),
        shop.item(ids[2], "pm_no_such"),
        shop.item(ids[3], "pm_sandbox_timeout"),
        shop.item(ids[4], amount="-1.00"),
        shop.item(ids[5], "pm_card_chargeDeclinedInsufficientFunds"),
        shop.item(ids[0]),
    )
    assert [(outcome["outcome"], outcome.get("code")) for outcome in outcomes] == [
        ("authorized", None),
        ("declined", "card_declined"),
        ("refused", "unknown_payment_method"),
        ("unknown", None),
        ("refused", "invalid_amount"),
        ("declined", "insufficient_funds"),
        ("authorized", None),
    ]
    assert [outcome["order_id"] for outcome in outcomes[:6]] == [str(id_) for id_ in ids]
    assert await shop.events(UUID(outcomes[1]["payment_id"])) == ["payment.declined"]


async def test_a_lost_answer_is_unknown_and_found_by_a_lookup_later(shop: Shop) -> None:
    item = shop.item(uuid7(), "pm_sandbox_timeout")
    [lost] = await shop.authorize(item)
    [found] = await shop.authorize(item)
    assert [lost["outcome"], found["outcome"]] == ["unknown", "authorized"]
    assert await shop.events(UUID(found["payment_id"])) == ["payment.authorized"]


async def test_outcomes_are_unknown_until_the_provider_is_back(shop: Shop) -> None:
    item = shop.item(uuid7(), "pm_sandbox_down")
    outcomes = [(await shop.authorize(item))[0]["outcome"] for _ in range(5)]
    assert outcomes == ["unknown", "unknown", "unknown", "authorized", "authorized"]


async def test_a_declined_payment_stays_declined(shop: Shop) -> None:
    order_id = uuid7()
    [first] = await shop.authorize(shop.item(order_id, "pm_card_chargeDeclined"))
    [second] = await shop.authorize(shop.item(order_id, "pm_card_visa"))
    assert first == second
    assert first["detail"] == "The card was declined."


async def test_another_amount_for_the_same_order_is_refused(shop: Shop) -> None:
    order_id, payment_id = await shop.authorized("49.99")
    [outcome] = await shop.authorize(shop.item(order_id, amount="50.00"))
    assert (outcome["outcome"], outcome["code"]) == ("refused", "another_amount")
    assert (await shop.payment(payment_id))["amount"]["amount"] == "49.99"


async def test_a_repeated_void_of_an_authorized_payment_has_one_effect(shop: Shop) -> None:
    order_id, payment_id = await shop.authorized()
    assert await shop.void(order_id) == ["voided"]
    assert await shop.void(order_id) == ["voided"]
    assert await provider_state(shop, str(payment_id)) == "voided"
    assert await shop.events(payment_id) == ["payment.authorized", "payment.voided"]
    [late] = await shop.authorize(shop.item(order_id))
    assert (late["outcome"], late["code"], late["payment_id"]) == ("refused", "voided", str(payment_id))


async def test_a_void_before_the_authorization_leaves_a_tombstone_that_is_never_listed(shop: Shop) -> None:
    order_id = uuid7()
    assert await shop.void(order_id) == ["voided"]
    [late] = await shop.authorize(shop.item(order_id))
    assert (late["outcome"], late["code"]) == ("refused", "voided")
    assert (await shop.client.get(f"/payments?order_id={order_id}", headers=shop.admin)).json()["items"] == []
    assert await shop.rows("SELECT FROM sandbox_payments WHERE payment_id = $1", UUID(late["payment_id"])) == []


async def test_a_payment_with_an_unknown_outcome_can_be_voided(shop: Shop) -> None:
    order_id = uuid7()
    await shop.authorize(shop.item(order_id, "pm_sandbox_timeout"))
    assert await shop.void(order_id) == ["voided"]
    [late] = await shop.authorize(shop.item(order_id, "pm_sandbox_timeout"))
    assert (late["outcome"], late["code"]) == ("refused", "voided")
    assert await provider_state(shop, late["payment_id"]) == "voided"
    assert await shop.events(UUID(late["payment_id"])) == ["payment.voided"]


async def test_a_void_of_a_declined_payment_succeeds_without_an_event(shop: Shop) -> None:
    order_id = uuid7()
    [outcome] = await shop.authorize(shop.item(order_id, "pm_card_chargeDeclined"))
    assert await shop.void(order_id) == ["voided"]
    assert await shop.events(UUID(outcome["payment_id"])) == ["payment.declined"]


async def test_a_void_of_a_captured_payment_answers_captured_and_changes_nothing(shop: Shop) -> None:
    order_id, payment_id = await shop.captured()
    assert await shop.void(order_id, uuid7()) == ["captured", "voided"]
    assert (await shop.payment(payment_id))["status"] == "captured"


async def test_concurrent_authorizations_and_voids_leave_no_money_held(shop: Shop) -> None:
    order_ids = [uuid7() for _ in range(20)]
    results = await asyncio.gather(
        shop.authorize(*(shop.item(order_id) for order_id in order_ids)),
        *(shop.void(order_id) for order_id in order_ids),
    )
    assert [outcome for [outcome] in results[1:]] == ["voided"] * 20
    held = await shop.rows(
        """
        SELECT FROM payments LEFT JOIN sandbox_payments ON sandbox_payments.payment_id = payments.id
        WHERE order_id = ANY ($1::uuid[]) AND (payments.state <> 'voided' OR sandbox_payments.state <> 'voided')
        """,
        order_ids,
    )
    assert held == []


async def test_an_order_can_be_paid_with_a_saved_method_of_its_buyer_only(shop: Shop) -> None:
    saved = await shop.client.post("/payment-methods", json={"token": "pm_card_visa"}, headers=shop.buyer)
    foreign = await shop.client.post("/payment-methods", json={"token": "pm_card_visa"}, headers=shop.stranger)
    mine, others = await shop.authorize(
        shop.item(uuid7(), saved.json()["id"]), shop.item(uuid7(), foreign.json()["id"])
    )
    assert mine["outcome"] == "authorized"
    assert (others["outcome"], others["code"]) == ("refused", "unknown_payment_method")
    await shop.client.delete(f"/payment-methods/{saved.json()['id']}", headers=shop.buyer)
    [removed] = await shop.authorize(shop.item(uuid7(), saved.json()["id"]))
    assert removed["code"] == "unknown_payment_method"


async def test_without_a_method_the_saved_default_is_used(shop: Shop) -> None:
    buyer = uuid7()
    item = shop.item(uuid7()) | {"user_id": str(buyer)}
    await shop.rows(
        """
        INSERT INTO payment_methods (id, user_id, token, brand, last4, is_default, fingerprint)
        VALUES ($1, $2, 'pm_card_chargeDeclined', 'visa', '0002', true, '')
        """,
        uuid7(),
        buyer,
    )
    [outcome] = await shop.authorize(item)
    assert outcome["code"] == "card_declined"


@pytest.mark.parametrize("path", ["/payments", "/payments/void"])
async def test_only_orders_authorizes_and_voids(shop: Shop, path: str) -> None:
    item = shop.item(uuid7())
    for headers, status in (({}, 401), (shop.buyer, 403), (shop.admin, 403)):
        answer = await shop.client.post(path, json={"items": [item]}, headers=headers)
        assert answer.status_code == status, answer.text
    assert await shop.rows("SELECT FROM payments WHERE order_id = $1", UUID(item["order_id"])) == []


async def test_only_notifications_looks_payments_up(shop: Shop) -> None:
    order_id, payment_id = await shop.captured("49.99")
    held_id, _ = await shop.authorized()
    part = {"amount": {"amount": "10.00", "currency": "USD"}, "reason": "x"}
    await shop.client.post(f"/payments/{payment_id}/refunds", json=part, headers=shop.keyed())
    voided_id = uuid7()
    await shop.void(voided_id)
    found = {item.pop("order_id"): item for item in await shop.look_up(order_id, held_id, voided_id, uuid7())}
    taken = {name: {"amount": amount, "currency": "USD"} for name, amount in AMOUNTS.items()}
    assert found == {
        str(order_id): {"state": "captured", "taken": taken},
        str(held_id): {"state": "authorized", "taken": None},
        str(voided_id): {"state": "voided", "taken": None},
    }
    body = {"order_ids": [str(order_id)]}
    for headers, status in (({}, 401), (shop.buyer, 403), (shop.admin, 403), (shop.orders, 403)):
        answer = await shop.client.post("/payments/lookup", json=body, headers=headers)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "no-uuid"},
        {"order_id": None},
        {"amount": {"amount": 49.99, "currency": "USD"}},
        {"amount": {"amount": "49.99", "currency": "dollar"}},
        {"payment_method": "x" * 201},
        {"payment_method": "pm\x00"},
        {"user_id": True},
    ],
)
async def test_a_batch_with_an_invalid_item_is_refused_as_a_whole(shop: Shop, change: dict[str, Any]) -> None:
    body = {"items": [shop.item(uuid7()) | change]}
    assert (await shop.client.post("/payments", json=body, headers=shop.orders)).status_code == 422


async def test_more_than_256_items_are_refused(shop: Shop) -> None:
    items = [shop.item(uuid7()) for _ in range(257)]
    answer = await shop.client.post("/payments", json={"items": items}, headers=shop.orders)
    assert answer.status_code == 422
    assert len(await shop.authorize(*items[:256])) == 256
