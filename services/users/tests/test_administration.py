"""Requests that only administrators and services may make."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"


async def test_an_administrator_pages_through_all_accounts_the_newest_first(service: Any) -> None:
    new_users = [await service.new_user() for _ in range(5)]
    token = await service.administrator()
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await service.call("GET", "/users", token=token, params=query)).json()
        assert len(page["items"]) <= 2
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found[:5] == [user.id for user in reversed(new_users)]
    assert len(found) == len(set(found))


async def test_deleted_accounts_are_not_listed(service: Any) -> None:
    user = await service.new_user()
    await service.call("DELETE", "/users/me", token=user.access_token)
    token = await service.administrator()
    page = (await service.call("GET", "/users", token=token, params={"limit": 100})).json()
    assert user.id not in [item["id"] for item in page["items"]]
    for user_id in (user.id, UNKNOWN_ID):
        answer = await service.call("GET", f"/users/{user_id}", token=token)
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "bnVsbA"}])
async def test_an_invalid_page_is_refused(service: Any, query: dict[str, Any]) -> None:
    answer = await service.call("GET", "/users", token=await service.administrator(), params=query)
    assert answer.status_code == 422, answer.text


async def test_a_new_role_applies_from_the_next_token(service: Any) -> None:
    user = await service.new_user()
    token = await service.administrator()
    path = f"/users/{user.id}/roles"
    for _ in range(2):
        answer = await service.call("PUT", path, token=token, json={"roles": ["admin", "customer"]})
        assert (answer.status_code, answer.json()["roles"]) == (200, ["customer", "admin"])
    assert [data["version"] for _, data in await service.events_of(user.id)] == [1, 2]

    refreshed = (await service.refresh(user.refresh_token)).json()
    assert (await service.call("GET", f"/users/{user.id}", token=refreshed["access_token"])).status_code == 200
    await service.call("PUT", path, token=token, json={"roles": ["customer"]})
    refreshed = (await service.refresh(refreshed["refresh_token"])).json()
    assert (await service.call("GET", f"/users/{user.id}", token=refreshed["access_token"])).status_code == 403


@pytest.mark.parametrize("roles", [[], ["admin"], ["customer", "root"], "admin", None, ["customer"] * 3])
async def test_unknown_and_incomplete_roles_are_refused(service: Any, roles: Any) -> None:
    user = await service.new_user()
    answer = await service.call(
        "PUT", f"/users/{user.id}/roles", token=await service.administrator(), json={"roles": roles}
    )
    assert answer.status_code == 422


async def test_the_roles_of_an_unknown_account_cannot_be_set(service: Any) -> None:
    answer = await service.call(
        "PUT", f"/users/{UNKNOWN_ID}/roles", token=await service.administrator(), json={"roles": ["customer"]}
    )
    assert answer.status_code == 404


async def test_the_last_administrator_can_be_neither_demoted_nor_deleted(start: Any) -> None:
    async with start() as service:
        token = await service.administrator()
        own = (await service.call("GET", "/users/me", token=token)).json()["id"]
        demoted = await service.call("PUT", f"/users/{own}/roles", token=token, json={"roles": ["customer"]})
        deleted = await service.call("DELETE", "/users/me", token=token)
        for answer in (demoted, deleted):
            assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")


async def test_two_administrators_who_demote_each_other_at_once_leave_one(start: Any) -> None:
    async with start() as service:
        token = await service.administrator()
        first = (await service.call("GET", "/users/me", token=token)).json()["id"]
        second = (await service.new_user()).id
        both = {"roles": ["customer", "admin"]}
        assert (await service.call("PUT", f"/users/{second}/roles", token=token, json=both)).is_success
        async with service.locked("SELECT FROM accounts FOR UPDATE") as release:
            changes = [
                asyncio.create_task(
                    service.call("PUT", f"/users/{user_id}/roles", token=token, json={"roles": ["customer"]})
                )
                for user_id in (first, second)
            ]
            await release(when_waiting=2)
        codes = {answer.json().get("code", "done") for answer in await asyncio.gather(*changes)}
        # By the order of the locks the second one is no administrator any more, or is the last one.
        assert codes in ({"done", "forbidden"}, {"done", "last_administrator"})
        rows = await service.rows("SELECT count(*) FROM accounts WHERE 'admin' = ANY (roles)")
        assert rows[0][0] == 1


async def test_the_first_administrator_is_created_only_once(start: Any) -> None:
    async with start() as service, start():
        token = await service.administrator()
        assert (await service.call("GET", "/users", token=token)).status_code == 200
        moved = await service.call("PATCH", "/users/me", token=token, json={"email": "boss@cartwright.example"})
        assert moved.status_code == 200
    async with start() as service:
        assert (await service.rows("SELECT count(*) FROM accounts"))[0][0] == 1


async def test_an_account_with_the_first_administrators_address_does_not_become_administrator(start: Any) -> None:
    async with start(admin_email="", admin_password="") as service:
        await service.register("admin@cartwright.example", password="the customer's own password")
    async with start() as service:
        assert (await service.rows("SELECT roles FROM accounts"))[0]["roles"] == ["customer"]


async def test_services_look_users_up_in_the_order_of_the_request(service: Any, service_token: Any) -> None:
    new_users = [await service.new_user() for _ in range(3)]
    await service.call("DELETE", "/users/me", token=new_users[1].access_token)
    ids = [new_users[2].id, UNKNOWN_ID, new_users[1].id, new_users[0].id, new_users[2].id]
    for name in ("orders", "notifications"):
        answer = await service.call("POST", "/users/lookup", token=service_token(name, "users"), json={"ids": ids})
        assert answer.status_code == 200
        assert [item["id"] for item in answer.json()["items"]] == [new_users[2].id, new_users[0].id]


async def test_a_lookup_of_too_many_or_of_malformed_ids_is_refused(service: Any, service_token: Any) -> None:
    token = service_token("orders", "users")
    for ids in ([UNKNOWN_ID] * 257, ["x"], [1], None, "x"):
        assert (await service.call("POST", "/users/lookup", token=token, json={"ids": ids})).status_code == 422


ROUTES = [
    ("GET", "/users/me", "user"),
    ("PATCH", "/users/me", "user"),
    ("DELETE", "/users/me", "user"),
    ("GET", "/users/me/preferences", "user"),
    ("PUT", "/users/me/preferences", "user"),
    ("GET", "/users", "administrator"),
    ("GET", f"/users/{UNKNOWN_ID}", "administrator"),
    ("PUT", f"/users/{UNKNOWN_ID}/roles", "administrator"),
    ("POST", "/auth/keys/rotate", "administrator"),
    ("POST", "/users/lookup", "service"),
]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
async def test_each_route_refuses_other_callers(
    service: Any, service_token: Any, access_token: Any, method: str, path: str, needed: str
) -> None:
    assert (await service.call(method, path)).status_code == 401
    assert (await service.call(method, path, headers={"x-user-id": UNKNOWN_ID})).status_code == 401
    foreign = access_token(user_id=UNKNOWN_ID, roles=["customer", "admin"])
    assert (await service.call(method, path, token=foreign)).status_code == 401, "signed with an unknown key"
    refused = [service_token("orders", "catalog")]
    for token in refused:
        assert (await service.call(method, path, token=token)).status_code == 401, "meant for another service"
    if needed == "service":
        forbidden = [await service.administrator(), service_token("payments", "users")]
    elif needed == "administrator":
        forbidden = [(await service.new_user()).access_token, service_token("orders", "users")]
    else:
        forbidden = [service_token("orders", "users")]
    for token in forbidden:
        assert (await service.call(method, path, token=token)).status_code == 403
