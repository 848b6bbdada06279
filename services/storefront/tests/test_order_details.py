"""GET /orders/{id}/details: the parts that it joins, and the answer when a service is missing."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from httpx import AsyncClient as Client
from joserfc import jwt
from joserfc.jwk import ECKey

from storefront.app import build
from storefront.join_order_details import PART_S_MAX
from storefront.settings import Settings

PARTS = {
    "products": ("catalog", "POST /products/lookup"),
    "payments": ("payments", "GET /payments"),
    "messages": ("notifications", "GET /notifications"),
}


async def break_down(peer: Any, route: str, how: str) -> None:
    match how:
        case "is down":
            await peer.stop()
        case "hangs":
            peer.hangs = True
        case "answers garbage":
            peer.answers[route] = b"<html>It works!</html>"
        case "answers another shape":
            peer.answers[route] = {"things": 3}
        case "answers an array":
            peer.answers[route] = [1, 2, 3]
        case "fails":
            peer.statuses[route] = 500
        case _:
            raise AssertionError(how)


FAILURES = ["is down", "hangs", "answers garbage", "answers another shape", "answers an array", "fails"]


async def test_details_join_the_order_with_its_products_payments_and_messages(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert answer.status_code == 200
    assert answer.json() == {
        "order": peers["orders"].answers[f"GET /orders/{order_id}"],
        **{
            part: {"status": "available", "items": peers[peer].answers[route]["items"]}
            for part, (peer, route) in PARTS.items()
        },
    }


async def test_catalog_is_called_with_the_service_token_and_the_others_with_the_callers(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str, service_keys: dict[str, str]
) -> None:
    await client.get(f"/orders/{order_id}/details", headers=as_customer)

    for peer, route in [
        ("orders", f"GET /orders/{order_id}"),
        ("payments", "GET /payments"),
        ("notifications", "GET /notifications"),
    ]:
        assert peers[peer].request_to(route)[0]["authorization"] == as_customer["authorization"]
    token = peers["catalog"].request_to("POST /products/lookup")[0]["authorization"].removeprefix("Bearer ")
    key = ECKey.import_key(json.loads(service_keys["storefront"]))
    claims = jwt.decode(token, key, algorithms=["ES256"]).claims
    assert (claims["sub"], claims["aud"]) == ("storefront", "catalog")


async def test_only_payments_and_messages_of_this_order_are_requested(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert peers["payments"].request_to("GET /payments")[1]["order_id"] == order_id
    assert peers["notifications"].request_to("GET /notifications")[1]["order_id"] == order_id


async def test_the_correlation_id_the_trace_and_the_deadline_reach_every_peer(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = as_customer | {"x-request-id": "checkout-42", "traceparent": trace}
    answer = await client.get(f"/orders/{order_id}/details", headers=headers)

    assert answer.headers["x-request-id"] == "checkout-42"
    for peer in ("orders", "catalog", "payments", "notifications"):
        [(_, sent, _, _)] = peers[peer].requests
        assert sent["x-request-id"] == "checkout-42"
        assert sent["traceparent"].split("-")[1] == trace.split("-")[1]
        assert int(sent["x-deadline-ms"]) <= PART_S_MAX * 1_000


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_fails_is_marked_and_does_not_affect_the_others(
    part: str, how: str, client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    peer, route = PARTS[part]
    await break_down(peers[peer], route, how)

    began_at = time.monotonic()
    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert time.monotonic() - began_at < PART_S_MAX + 0.5
    assert answer.status_code == 200
    details = answer.json()
    assert details["order"]["id"] == order_id
    assert details[part]["status"] == "unavailable"
    assert details[part]["reason"]["code"] == "no_answer"
    assert "items" not in details[part]
    assert [details[other]["status"] for other in PARTS if other != part] == ["available"] * 2


async def test_a_part_that_is_refused_is_marked_with_the_refusal(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    peers["payments"].answers["GET /payments"] = {"status": 403, "code": "forbidden"}
    peers["payments"].statuses["GET /payments"] = 403

    details = (await client.get(f"/orders/{order_id}/details", headers=as_customer)).json()

    assert details["payments"] == {
        "status": "unavailable",
        "reason": {"code": "refused", "detail": "The service refused: forbidden."},
    }
    assert details["products"]["status"] == details["messages"]["status"] == "available"


async def test_an_order_is_shown_when_every_other_part_hangs(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    for peer, _ in PARTS.values():
        peers[peer].hangs = True

    began_at = time.monotonic()
    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert time.monotonic() - began_at < PART_S_MAX + 0.5, "the parts are read concurrently"
    assert answer.status_code == 200
    assert {answer.json()[part]["status"] for part in PARTS} == {"unavailable"}


@pytest.mark.parametrize("how", FAILURES)
async def test_without_the_order_the_answer_is_503_with_a_time_to_retry(
    how: str, client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    route = f"GET /orders/{order_id}"
    await break_down(peers["orders"], route, how)

    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "order_unavailable"


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (403, "forbidden")])
async def test_a_refusal_of_orders_is_passed_on_and_no_other_service_is_called(
    status: int, code: str, client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    problem = {"status": status, "code": code, "title": "Not for you.", "detail": "Not for you at all."}
    peers["orders"].answers[f"GET /orders/{order_id}"] = problem
    peers["orders"].statuses[f"GET /orders/{order_id}"] = status

    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert answer.status_code == status
    assert answer.json() | problem == answer.json()
    assert not peers["catalog"].requests
    assert not peers["payments"].requests
    assert not peers["notifications"].requests


async def test_a_new_member_of_an_order_is_passed_on_and_one_of_a_product_is_not(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    peers["orders"].answers[f"GET /orders/{order_id}"]["gift_note"] = "Happy birthday"
    peers["catalog"].answers["POST /products/lookup"]["items"][0]["purchase_price"] = "1.00"

    details = (await client.get(f"/orders/{order_id}/details", headers=as_customer)).json()

    assert details["order"]["gift_note"] == "Happy birthday"
    assert "purchase_price" not in details["products"]["items"][0]


async def test_details_require_a_valid_access_token_of_a_user(
    client: Client, peers: Any, order_id: str, access_token: Callable[..., str], service_token: Callable[..., str]
) -> None:
    async def status_with(headers: dict[str, str]) -> int:
        return (await client.get(f"/orders/{order_id}/details", headers=headers)).status_code

    expired = access_token(user_id="0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01", seconds=-60)
    assert await status_with({}) == 401
    assert await status_with({"x-user-id": "0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01"}) == 401
    assert await status_with({"authorization": "Bearer nonsense"}) == 401
    assert await status_with({"authorization": f"Bearer {expired}"}) == 401
    assert await status_with({"authorization": f"Bearer {service_token('orders', 'storefront')}"}) == 403
    assert not peers["orders"].requests


async def test_a_malformed_id_is_not_found(client: Client, peers: Any, as_customer: dict[str, str]) -> None:
    answer = await client.get("/orders/..%2Fcart/details", headers=as_customer)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert not peers["orders"].requests


async def test_the_storefront_is_ready_while_every_peer_is_down(settings: Settings, peers: Any, serve: Any) -> None:
    for peer in peers.values():
        await peer.stop()
    client = await serve(build(settings))
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/ready")).status_code == 200


async def test_a_token_that_cannot_be_verified_yet_gets_503_and_not_401(
    serve: Any, settings: Settings, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    await peers["users"].stop()
    client = await serve(build(settings))

    answer = await client.get(f"/orders/{order_id}/details", headers=as_customer)

    assert answer.status_code == 503
    assert not peers["orders"].requests


async def test_an_unknown_query_parameter_is_refused_without_a_call(
    client: Client, peers: Any, as_customer: dict[str, str], order_id: str
) -> None:
    answer = await client.get(f"/orders/{order_id}/details?expand=payments", headers=as_customer)

    assert (answer.status_code, answer.json()["code"], answer.json()["parameter"]) == (422, "invalid", "expand")
    assert not peers["orders"].requests
