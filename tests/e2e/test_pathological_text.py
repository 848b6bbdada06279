"""The longest bodies of the worst text, sent to every write of the gateway, are refused; no service stands still."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cartwright.launcher.api import Answer, Api
from cartwright.testkit.system import SystemUnderTest

ABSENT = "00000000-0000-7000-8000-000000000000"
BODY_BYTES = 63 * 1024
START_S_MAX = 30
WRITES = ("post", "put", "patch")
SERVICES = ("users", "catalog", "orders", "payments", "notifications")
TEXTS = {
    "combining marks": "\u0301\u0316",
    "a character that becomes eighteen": "\ufdfa",
    "overrides of the direction": "\u202e\u2066",
    "one Punycode label": "xn--a",
    "labels": "ü.",
    "words of an encoded header": "=?utf-8?q?a?= ",
    "hyphens and quotes": '-a"-',
    "digits": "9",
    "line breaks": "\r\n",
}


@pytest.fixture(scope="module")
def writes(system: SystemUnderTest) -> list[tuple[str, str, list[str]]]:
    """Method, path and text members of each write that takes JSON, as the services' own documents say."""
    return [
        (method.upper(), _with_ids(path), members)
        for service in SERVICES
        for path, item in _document(system, service)["paths"].items()
        for method, members in _writes_of(item, _document(system, service))
    ]


def _document(system: SystemUnderTest, service: str) -> dict[str, Any]:
    document = Api(system.opened().service_urls(service)[0]).get("/openapi.json").json
    assert document, f"{service} has a document"
    return document


def _with_ids(path: str) -> str:
    return "/".join(ABSENT if part.startswith("{") else part for part in path.split("/"))


def _writes_of(item: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for method in WRITES:
        operation = item.get(method)
        if operation is None or operation.get("x-internal"):
            continue
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            members = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]].get("properties", {})
            yield method, list(members)


def _body(members: list[str], text: str) -> bytes:
    """An object with the text in each member, as long as a body may be."""
    repeated = text * (BODY_BYTES // len(members) // len(text.encode()))
    body = json.dumps(dict.fromkeys(members, repeated), ensure_ascii=False).encode()
    while len(body) > BODY_BYTES:  # Line breaks and quotes are longer in JSON.
        repeated = repeated[: len(repeated) // 2]
        body = json.dumps(dict.fromkeys(members, repeated), ensure_ascii=False).encode()
    return body


@pytest.mark.parametrize("name", TEXTS)
def test_the_worst_text_is_refused_by_every_write_and_services_answer_meanwhile(
    system: SystemUnderTest, administrator: Api, writes: list[tuple[str, str, list[str]]], name: str
) -> None:
    assert len(writes) >= 12
    health = [Api(url) for service in SERVICES for url in system.opened().service_urls(service)]
    with ThreadPoolExecutor(8) as threads:

        def send(write: tuple[str, str, list[str]]) -> tuple[str, str, Answer]:
            method, path, members = write
            body = _body(members, TEXTS[name])
            deadline = time.monotonic() + START_S_MAX
            while True:
                answer = administrator.call(method, path, body, {"Idempotency-Key": ABSENT})
                # A service that has just started may not know yet which tokens are good.
                if answer.status != 503 or time.monotonic() > deadline:
                    return method, path, answer
                time.sleep(0.2)

        sent = [threads.submit(send, write) for write in writes]
        healthy = [threads.submit(api.get, "/health") for api in health]
        assert [answer.result().status for answer in healthy] == [200] * len(health)
        for answer in sent:
            method, path, refused = answer.result()
            assert (method, path, refused.status // 100) == (method, path, 4), refused.content[:300]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("field", ["username", "password", "refresh_token"])
def test_the_worst_text_does_not_sign_in(gateway: Api, name: str, field: str) -> None:
    form = {"grant_type": "refresh_token" if field == "refresh_token" else "password", "username": "a", "password": "b"}
    refused = gateway.ask_for_tokens(**form | {field: TEXTS[name] * 400})
    assert refused.status in {400, 413, 429}, refused.content[:300]
