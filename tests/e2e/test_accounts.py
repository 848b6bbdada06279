"""Accounts over the gateway: sessions, keys, headers without effect, and an account that is deleted."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from cartwright.launcher import api
from cartwright.launcher.api import Answer, Api
from cartwright.testkit.servers import wait_until
from cartwright.testkit.system import SystemUnderTest

Buy = Callable[..., Answer]
NewProduct = Callable[..., str]

ABSENT = "00000000-0000-7000-8000-000000000000"


def tokens_of(customer: Api, password: str) -> Answer:
    email = customer.get("/users/me").json["email"]
    return customer.ask_for_tokens(grant_type="password", username=email, password=password)


def refreshed(gateway: Api, tokens: Answer) -> Answer:
    return gateway.ask_for_tokens(grant_type="refresh_token", refresh_token=tokens.json["refresh_token"])


def names_kept_by_orders(system: SystemUnderTest, user_id: str) -> list[tuple[str | None, str | None]]:
    async def read() -> list[tuple[str | None, str | None]]:
        connection = await asyncpg.connect(system.opened().database_url("orders"), timeout=10)
        try:
            rows = await connection.fetch("SELECT name, email FROM customers WHERE user_id = $1", user_id)
            return [(row["name"], row["email"]) for row in rows]
        finally:
            await connection.close()

    return asyncio.run(read())


def test_a_refreshed_token_buys_and_the_used_refresh_token_ends_the_session(
    customer: Api, gateway: Api, password: str, new_product: NewProduct, buy: Buy
) -> None:
    first = tokens_of(customer, password)
    second = refreshed(gateway, first)
    assert second.status == 200, second.json
    assert buy(Api(gateway.url, second.json["access_token"]), {new_product(stock=1): 1}).status == 201
    assert refreshed(gateway, first).json["error"] == "invalid_grant"
    # The token was used twice: it may have been stolen, so its successor is refused too.
    assert refreshed(gateway, second).json["error"] == "invalid_grant"


def test_who_signed_out_does_not_get_another_token(customer: Api, gateway: Api, password: str) -> None:
    tokens = tokens_of(customer, password)
    # Without an access token: who comes back after a day has none that is good any more.
    assert gateway.post("/auth/sign-out", {"refresh_token": tokens.json["refresh_token"]}).status == 204
    assert refreshed(gateway, tokens).json["error"] == "invalid_grant"


def test_a_wrong_password_and_an_unknown_address_are_told_alike(customer: Api, gateway: Api) -> None:
    email = customer.get("/users/me").json["email"]
    wrong = gateway.ask_for_tokens(grant_type="password", username=email, password="wrong")
    unknown = gateway.ask_for_tokens(grant_type="password", username="nobody@example.com", password="wrong")
    assert (wrong.status, wrong.json["error"], wrong.detail) == (unknown.status, unknown.json["error"], unknown.detail)
    assert wrong.json["error"] == "invalid_grant"


def test_purchases_go_on_while_the_keys_are_rotated(
    customer: Api, administrator: Api, gateway: Api, password: str, new_product: NewProduct, buy: Buy
) -> None:
    product = new_product(stock=10)
    rotated = administrator.post("/auth/keys/rotate")
    assert rotated.status == 202, rotated.json
    published = Api(gateway.url.removesuffix("/api")).get("/.well-known/jwks.json").json["keys"]
    assert rotated.json["kid"] in {key["kid"] for key in published}
    newcomer = Api(gateway.url, tokens_of(customer, password).json["access_token"])
    assert [buy(buyer, {product: 1}).status for buyer in (customer, newcomer) * 2] == [201] * 4


@pytest.mark.parametrize("headers", [{"X-User-Id": ABSENT}, {"X-User-Roles": "admin"}])
def test_headers_that_claim_an_identity_have_no_effect(
    system: SystemUnderTest, customer: Api, gateway: Api, headers: dict[str, str]
) -> None:
    orders = Api(system.opened().service_url("orders"))
    for door in (gateway, orders):
        assert door.call("GET", "/orders", headers=headers).status == 401
    user_id = customer.get("/users/me").json["id"]
    assert customer.call("GET", "/users/me", headers=headers).json["id"] == user_id
    assert customer.call("GET", "/users", headers=headers).status == 403


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("catalog", "/reservations"),
        ("catalog", "/reservations/release"),
        ("catalog", "/products/lookup"),
        ("catalog", f"/products/{ABSENT}/reserve"),
        ("catalog", f"/products/{ABSENT}/release"),
        ("payments", "/payments"),
        ("payments", "/payments/void"),
        ("users", "/users/lookup"),
    ],
)
def test_what_services_ask_of_each_other_is_not_for_people(
    system: SystemUnderTest, customer: Api, service: str, path: str
) -> None:
    assert customer.post(path, {"items": []}).status in (404, 405)
    behind_the_gateway = Api(system.opened().service_url(service), customer.access_token)
    assert behind_the_gateway.post(path, {"items": []}).status == 403
    assert Api(behind_the_gateway.url).post(path, {"items": []}).status == 401


def test_mail_is_sent_for_administrators_alone(system: SystemUnderTest, customer: Api, administrator: Api) -> None:
    mail = {"toaddr": "grace@example.com", "subject": "Hello", "body": "We are open again."}
    assert customer.post("/send", mail).status == 403
    sent = administrator.post("/send", mail)
    assert sent.status == 202
    mailbox = Api(system.opened().mailbox_url)
    wait_until(lambda: len(mailbox.get("/messages?to=grace@example.com").json["items"]) == 1, "the mail has come")
    recorded = f"/audit/events?type=email.requested&correlation_id={sent.correlation_id}"
    wait_until(lambda: len(administrator.get(recorded).json["items"]) == 1, "the request is recorded")


def test_a_deleted_account_cannot_buy_and_its_name_is_forgotten(
    system: SystemUnderTest, new_customer: Callable[[], Api], password: str, new_product: NewProduct, buy: Buy
) -> None:
    product, leaver = new_product(stock=5), new_customer()
    profile = leaver.get("/users/me").json
    assert buy(leaver, {product: 1}).status == 201
    assert leaver.call("DELETE", "/users/me").status == 204

    wait_until(
        lambda: not any(name or email for name, email in names_kept_by_orders(system, profile["id"])),
        "orders has forgotten who that was",
    )
    refused = buy(leaver, {product: 1})
    assert refused.status == 401
    # Orders has heard of the deletion, or has read that the token is revoked, whichever comes first.
    assert refused.json["code"] in ("account_deleted", "token_revoked")
    again = api.gateway(system.opened()).ask_for_tokens(
        grant_type="password", username=profile["email"], password=password
    )
    assert again.json["error"] == "invalid_grant"
