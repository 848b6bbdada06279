"""Mails as buyers get them: to their present address, and true about money."""

import secrets
import urllib.parse
from collections.abc import Callable
from typing import Any

from cartwright.launcher.api import Answer, Api
from cartwright.testkit.servers import wait_until
from cartwright.testkit.system import SystemUnderTest


def mails_to(system: SystemUnderTest, address: str) -> list[dict[str, Any]]:
    mailbox = Api(system.opened().mailbox_url)
    found: list[dict[str, Any]] = mailbox.get(f"/messages?to={urllib.parse.quote(address)}").json["items"]
    return found


def with_subject(mails: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    return [mail for mail in mails if words in mail["subject"]]


def key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(16)}


def test_a_partial_refund_and_then_a_cancellation_are_told_as_the_ledger_has_them(
    system: SystemUnderTest,
    administrator: Api,
    customer: Api,
    new_product: Callable[..., str],
    buy: Callable[..., Answer],
) -> None:
    bought = buy(customer, {new_product(stock=5): 1})
    assert bought.status == 201, bought.json
    order_id, address = bought.json["id"], bought.json["user"]["email"]

    def payment() -> dict[str, Any]:
        (found,) = administrator.get(f"/payments?order_id={order_id}").json["items"]
        return dict(found)

    wait_until(lambda: payment()["status"] == "captured", "the payment is captured")
    part = {"amount": {"amount": "10.00", "currency": "USD"}, "reason": "A scratch"}
    refund = f"/payments/{payment()['id']}/refunds"
    unkeyed = administrator.post(refund, part)
    assert (unkeyed.status, unkeyed.json["code"]) == (400, "idempotency_key_required")
    once = key()
    assert [administrator.post(refund, part, once).status for _ in range(2)] == [201, 201]
    assert payment()["refunded"]["amount"] == "10.00"
    assert customer.post(f"/orders/{order_id}/cancel").status == 200

    wait_until(lambda: with_subject(mails_to(system, address), "is cancelled"), "the cancellation is told")
    (told,) = with_subject(mails_to(system, address), "is cancelled")
    text = told["text"]
    assert "You were charged 49.99 USD." in text
    assert "49.99 USD of it has been refunded." in text or (
        "10.00 USD of it has been refunded." in text and "39.99 USD of it is being refunded." in text
    )
    # The administrator reads of the buyer's messages in the details of the order.
    messages = administrator.get(f"/orders/{order_id}/details").json["messages"]
    assert {"order_confirmed", "order_cancelled"} <= {message["kind"] for message in messages["items"]}


def test_after_a_change_of_address_mails_go_to_the_new_one_and_the_old_one_is_told(
    system: SystemUnderTest,
    new_customer: Callable[[], Api],
    new_product: Callable[..., str],
    buy: Callable[..., Answer],
    administrator: Api,
) -> None:
    buyer, product = new_customer(), new_product(stock=5)
    former = buyer.get("/users/me").json["email"]
    order_id = buy(buyer, {product: 1}).json["id"]
    present = f"moved-{secrets.token_hex(6)}@example.com"
    assert buyer.call("PATCH", "/users/me", {"email": present}).status == 200
    wait_until(lambda: with_subject(mails_to(system, former), "was changed"), "the former address is told")
    assert administrator.post(f"/orders/{order_id}/ship").status == 200

    wait_until(lambda: with_subject(mails_to(system, present), "on its way"), "the mail about the shipment")
    assert with_subject(mails_to(system, former), "on its way") == []
    (warning,) = with_subject(mails_to(system, former), "was changed")
    assert present not in warning["text"]
