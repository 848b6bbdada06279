"""What users promised to others in `contracts/` is what it sends."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from chassis.tokens import keys_by_id
from users.messages import Lookup

CONTRACTS = Path(__file__).parents[3] / "contracts"

pytestmark = pytest.mark.asyncio(loop_scope="module")


def contract(path: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((CONTRACTS / path).read_text())
    assert read["producer"] == "users"
    return read


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())


async def test_every_event_is_as_promised(service: Any) -> None:
    person = await service.person(name='Zoë "Zed" O\'Hara')
    await service.call(
        "PATCH", "/users/me", token=person.access_token, json={"email": f"zoë-{person.id}@bücher.example"}
    )
    await service.call("DELETE", "/users/me", token=person.access_token)
    told = await service.told(person.id)
    assert [type_ for type_, _ in told] == ["user.registered", "user.updated", "user.deleted"]
    for type_, data in told:
        check(data, contract(f"events/{type_}.json")["schema"])


async def test_no_event_of_users_is_without_a_contract_or_the_other_way_round(service: Any) -> None:
    promised = {path.stem for path in (CONTRACTS / "events").glob("user.*.json")}
    assert promised == {"user.registered", "user.updated", "user.deleted"}


async def test_a_lookup_is_answered_as_promised(service: Any, service_token: Any) -> None:
    promise = contract("http/users.lookup.json")
    person = await service.person()
    for consumer in promise["consumers"]:
        answer = await service.call(
            promise["method"], promise["path"], token=service_token(consumer, "users"), json={"ids": [person.id]}
        )
        assert answer.status_code == 200
        check(answer.json(), promise["response"]["schema"])
        assert len(answer.json()["items"]) == 1


async def test_every_promised_lookup_is_understood(service: Any, service_token: Any) -> None:
    promise = contract("http/users.lookup.json")
    for example in promise["request"]["examples"]:
        msgspec.convert(example, Lookup, strict=False)
        answer = await service.call("POST", promise["path"], token=service_token("orders", "users"), json=example)
        assert answer.status_code == 200


async def test_the_signing_keys_are_as_promised_and_of_use_to_the_chassis(service: Any) -> None:
    promise = contract("http/users.signing-keys.json")
    answer = await service.call(promise["method"], promise["path"])
    check(answer.json(), promise["response"]["schema"])
    assert keys_by_id(answer.json())
