"""What users promised to others in `contracts/` is what it sends."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from chassis.security.revocations import Revocations
from chassis.security.tokens import keys_by_id
from users import events
from users.http.schemas import Lookup

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
    for roles in (["customer", "admin"], ["customer"]):
        token = await service.administrator()
        await service.call("PUT", f"/users/{person.id}/roles", token=token, json={"roles": roles})
    again = (await service.sign_in(f"zoë-{person.id}@bücher.example")).json()
    await service.call("POST", "/auth/sign-out", json={"refresh_token": again["refresh_token"]})
    newest = (await service.refresh(person.refresh_token)).json()["access_token"]
    await service.refresh(person.refresh_token)
    last = (await service.sign_in(f"zoë-{person.id}@bücher.example")).json()["access_token"]
    assert (await service.call("DELETE", "/users/me", token=newest)).status_code == 401
    assert (await service.call("DELETE", "/users/me", token=last)).status_code == 204
    told = await service.told(person.id)
    assert [type_ for type_, _ in told] == [
        "user.registered",
        "user.updated",
        "user.roles_changed",
        "user.roles_changed",
        "user.session_revoked",
        "user.session_revoked",
        "user.deleted",
    ]
    for type_, data in told:
        check(data, contract(f"events/{type_}.json")["schema"])


async def test_no_event_of_users_is_without_a_contract_or_the_other_way_round(service: Any) -> None:
    promised = {path.stem for path in (CONTRACTS / "events").glob("user.*.json")}
    assert promised == {
        "user.registered",
        "user.updated",
        "user.deleted",
        *events.REVOCATIONS,
    }


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


async def test_revocations_are_as_promised_and_understood_by_the_chassis(service: Any, service_token: Any) -> None:
    promise = contract("http/users.revocations.json")
    person = await service.person()
    token = await service.administrator()
    await service.call("PUT", f"/users/{person.id}/roles", token=token, json={"roles": ["customer", "admin"]})
    await service.call("POST", "/auth/sign-out", json={"refresh_token": person.refresh_token})
    query: dict[str, str] = {}
    for _ in range(2):
        answer = await service.call(
            promise["method"], promise["path"], token=service_token("storefront", "users"), params=query
        )
        assert answer.status_code == 200
        check(answer.json(), promise["response"]["schema"])
        query = {"after": answer.json()["cursor"]}
    for example in promise["response"]["examples"]:
        msgspec.convert(example | {"new_member": 1}, Revocations)


async def test_the_signing_keys_are_as_promised_and_of_use_to_the_chassis(service: Any) -> None:
    promise = contract("http/users.signing-keys.json")
    answer = await service.call(promise["method"], promise["path"])
    check(answer.json(), promise["response"]["schema"])
    assert keys_by_id(answer.json())
