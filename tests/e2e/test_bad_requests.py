"""Bad requests where the gateway can make a difference: a clear problem, and no effect.

The whole list is asked of the orders service by its own tests.
"""

import base64
import hashlib
import hmac
import http.client
import json

import pytest

from cartwright.launcher import keys
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.layout import LOOPBACK
from cartwright.testkit.system import SystemUnderTest

# Begun here and heard in test_slow_client.py: the gateway is patient for 15 seconds.
pytestmark = pytest.mark.usefixtures("slow_client")

ABSENT = "00000000-0000-7000-8000-000000000000"
ORDER = json.dumps({"items": [{"product_id": ABSENT, "quantity": 1}]}).encode()
TOO_LARGE = json.dumps({"items": [], "payment_method": "x" * 70_000}).encode()

MALFORMED = {
    "NaN": ORDER.replace(b": 1}", b": NaN}"),
    "cut-off JSON": ORDER[:-3],
    "an empty body": b"",
    "invalid UTF-8": b'{"items": "\xff"}',
    "duplicate keys": ORDER.replace(b": 1}", b': 1, "quantity": 2}'),
    "nesting over 32": b'{"items": ' + b"[" * 40 + b"]" * 40 + b"}",
}
INVALID = {"a quantity of 0": ORDER.replace(b": 1}", b": 0}"), "a product that never was": ORDER, "no object": b"[]"}


def problem_of(answer: Answer) -> str:
    """Its code; every refusal is a whole problem."""
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert set(answer.json) >= {"type", "title", "status", "detail", "code", "correlation_id"}
    assert answer.json["correlation_id"] == answer.correlation_id
    return str(answer.json["code"])


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(claims: str) -> str:
    return f"{segment({'alg': 'none', 'typ': 'JWT'})}.{claims}."


def signed_with_public_key(claims: str, public_key: dict[str, str]) -> str:
    """HS256, for a verifier that takes the public key for a shared secret."""
    content = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': public_key['kid']})}.{claims}"
    signature = hmac.digest(json.dumps(public_key).encode(), content.encode(), hashlib.sha256)
    return f"{content}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_told(customer: Api, name: str) -> None:
    answer = customer.post("/orders", MALFORMED[name])
    assert (answer.status, problem_of(answer)) == (400, "malformed")


@pytest.mark.parametrize("name", INVALID)
def test_an_order_that_makes_no_sense_is_told(customer: Api, name: str) -> None:
    answer = customer.post("/orders", INVALID[name])
    assert answer.status == 422
    assert problem_of(answer)


@pytest.mark.parametrize(
    "address",
    [
        "/products?limits=5",
        "/products?limit=5&limit=6",
        "/orders?limit=5&page=2",
        "/payments?access_token=x",
        "/users/me?fields=name",
        f"/orders/{ABSENT}/details?expand=payments",
    ],
)
def test_a_query_parameter_that_is_unknown_or_given_twice_is_told(customer: Api, address: str) -> None:
    answer = customer.get(address)
    assert (answer.status, problem_of(answer)) == (422, "invalid")


@pytest.mark.parametrize(("tag", "status"), [('"999"', 412), ('W/"1"', 412), ("1", 400)])
def test_a_version_that_is_not_the_present_one_is_told(customer: Api, tag: str, status: int) -> None:
    before = customer.get("/users/me")
    assert before.headers["etag"].startswith('"')
    body = json.dumps({"name": "Somebody Else"}).encode()
    answer = customer.call("PATCH", "/users/me", body, {"If-Match": tag, "Content-Type": "application/json"})
    assert (answer.status, problem_of(answer)) == (status, "precondition_failed" if status == 412 else "malformed")
    assert customer.get("/users/me").json == before.json


def test_a_body_over_64_kib_is_too_large(customer: Api) -> None:
    answer = customer.post("/orders", TOO_LARGE)
    assert (answer.status, problem_of(answer)) == (413, "body_too_large")


def test_a_body_over_64_kib_in_chunks_is_too_large(system: SystemUnderTest, customer: Api) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, system.port, timeout=10)
    headers = {"Authorization": f"Bearer {customer.access_token}", "Content-Type": "application/json"}
    chunks = (TOO_LARGE[start : start + 8_192] for start in range(0, len(TOO_LARGE), 8_192))
    connection.request("POST", "/api/orders", chunks, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    connection.close()


def test_a_body_of_another_type_is_told(customer: Api) -> None:
    answer = customer.call("POST", "/orders", ORDER, {"Content-Type": "text/plain"})
    assert (answer.status, problem_of(answer)) == (415, "unsupported_type")


def test_another_method_is_told_with_those_that_there_are(customer: Api) -> None:
    answer = customer.call("PUT", "/orders", ORDER)
    assert (answer.status, problem_of(answer)) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


def test_headers_that_are_too_large_are_told(customer: Api) -> None:
    answer = customer.call("GET", "/orders", headers={"X-Large": "x" * 62_000})
    assert (answer.status, answer.json["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize("key", ["", "x" * 300])
def test_a_key_that_is_none_is_told(customer: Api, key: str) -> None:
    answer = customer.post("/orders", ORDER, {"Idempotency-Key": key})
    assert answer.status == 400
    assert problem_of(answer)


@pytest.mark.parametrize(
    "flaw", ["none", "no JWT", "cut", "unsigned", "public key as secret", "unknown key", "refresh"]
)
def test_an_invalid_token_is_refused(gateway: Api, customer: Api, password: str, flaw: str) -> None:
    good = customer.access_token or ""
    claims = good.split(".")[1]
    user_id = customer.get("/users/me").json["id"]
    match flaw:
        case "none":
            token = None
        case "no JWT":
            token = "x"
        case "cut":
            token = good[:-8]
        case "unsigned":
            token = unsigned(claims)
        case "public key as secret":
            published = Api(gateway.url.removesuffix("/api")).get("/.well-known/jwks.json").json["keys"]
            token = signed_with_public_key(claims, published[0])
        case "unknown key":
            token = keys.sign_access_token(keys.make_key("stranger"), user_id, ["customer", "admin"])
        case _:
            email = customer.get("/users/me").json["email"]
            tokens = gateway.ask_for_tokens(grant_type="password", username=email, password=password)
            token = tokens.json["refresh_token"]
    answer = Api(gateway.url, token).post("/orders", ORDER)
    assert (answer.status, problem_of(answer)) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_none_of_this_has_had_an_effect(customer: Api) -> None:
    assert customer.get("/orders").json["items"] == []
    assert customer.get("/payments").json["items"] == []
