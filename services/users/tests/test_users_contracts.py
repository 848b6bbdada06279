"""Events and answers of users conform to `contracts/`."""

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


def read_contract(path: str) -> dict[str, Any]:
    contract: dict[str, Any] = json.loads((CONTRACTS / path).read_text())
    assert contract["producer"] == "users"
    return contract


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())


async def test_every_event_conforms_to_its_contract(service: Any) -> None:
    user = await service.new_user(name='Zoë "Zed" O\'Hara')
    await service.call("PATCH", "/users/me", token=user.access_token, json={"email": f"zoë-{user.id}@bücher.example"})
    for roles in (["customer", "admin"], ["customer"]):
        token = await service.administrator()
        await service.call("PUT", f"/users/{user.id}/roles", token=token, json={"roles": roles})
    again = (await service.sign_in(f"zoë-{user.id}@bücher.example")).json()
    await service.call("POST", "/auth/sign-out", json={"refresh_token": again["refresh_token"]})
    newest = (await service.refresh(user.refresh_token)).json()["access_token"]
    await service.refresh(user.refresh_token)
    last = (await service.sign_in(f"zoë-{user.id}@bücher.example")).json()["access_token"]
    assert (await service.call("DELETE", "/users/me", token=newest)).status_code == 401
    assert (await service.call("DELETE", "/users/me", token=last)).status_code == 204
    emitted = await service.events_of(user.id)
    assert [type_ for type_, _ in emitted] == [
        "user.registered",
        "user.updated",
        "user.roles_changed",
        "user.roles_changed",
        "user.session_revoked",
        "user.session_revoked",
        "user.deleted",
    ]
    for type_, data in emitted:
        check(data, read_contract(f"events/{type_}.json")["schema"])


async def test_each_event_type_of_users_has_a_contract(service: Any) -> None:
    contracts = {path.stem for path in (CONTRACTS / "events").glob("user.*.json")}
    assert contracts == {
        "user.registered",
        "user.updated",
        "user.deleted",
        *events.REVOCATIONS,
    }


async def test_the_answer_to_a_lookup_conforms_to_its_contract(service: Any, service_token: Any) -> None:
    contract = read_contract("http/users.lookup.json")
    user = await service.new_user()
    for consumer in contract["consumers"]:
        answer = await service.call(
            contract["method"], contract["path"], token=service_token(consumer, "users"), json={"ids": [user.id]}
        )
        assert answer.status_code == 200
        check(answer.json(), contract["response"]["schema"])
        assert len(answer.json()["items"]) == 1


async def test_every_lookup_of_the_contract_is_accepted(service: Any, service_token: Any) -> None:
    contract = read_contract("http/users.lookup.json")
    for example in contract["request"]["examples"]:
        msgspec.convert(example, Lookup, strict=False)
        answer = await service.call("POST", contract["path"], token=service_token("orders", "users"), json=example)
        assert answer.status_code == 200


async def test_revocations_conform_to_their_contract(service: Any, service_token: Any) -> None:
    contract = read_contract("http/users.revocations.json")
    user = await service.new_user()
    token = await service.administrator()
    await service.call("PUT", f"/users/{user.id}/roles", token=token, json={"roles": ["customer", "admin"]})
    await service.call("POST", "/auth/sign-out", json={"refresh_token": user.refresh_token})
    query: dict[str, str] = {}
    for _ in range(2):
        answer = await service.call(
            contract["method"], contract["path"], token=service_token("storefront", "users"), params=query
        )
        assert answer.status_code == 200
        check(answer.json(), contract["response"]["schema"])
        query = {"after": answer.json()["cursor"]}
    for example in contract["response"]["examples"]:
        msgspec.convert(example | {"new_member": 1}, Revocations)


async def test_the_signing_keys_conform_to_their_contract(service: Any) -> None:
    contract = read_contract("http/users.signing-keys.json")
    answer = await service.call(contract["method"], contract["path"])
    check(answer.json(), contract["response"]["schema"])
    assert keys_by_id(answer.json())
