"""What administrators and services may do, and everybody else may not."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOBODY = "01890000-0000-7000-8000-000000000000"


async def test_an_administrator_pages_through_all_accounts_the_newest_first(service: Any) -> None:
    people = [await service.person() for _ in range(5)]
    token = await service.administrator()
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await service.call("GET", "/users", token=token, params=query)).json()
        assert len(page["items"]) <= 2
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found[:5] == [person.id for person in reversed(people)]
    assert len(found) == len(set(found))


async def test_deleted_accounts_are_in_no_list(service: Any) -> None:
    person = await service.person()
    await service.call("DELETE", "/users/me", token=person.access_token)
    token = await service.administrator()
    page = (await service.call("GET", "/users", token=token, params={"limit": 100})).json()
    assert person.id not in [item["id"] for item in page["items"]]
    for user_id in (person.id, NOBODY):
        answer = await service.call("GET", f"/users/{user_id}", token=token)
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "bnVsbA"}])
async def test_a_page_that_cannot_be_is_refused(service: Any, query: dict[str, Any]) -> None:
    answer = await service.call("GET", "/users", token=await service.administrator(), params=query)
    assert answer.status_code == 422, answer.text


async def test_a_role_that_is_given_works_with_the_next_token(service: Any) -> None:
    person = await service.person()
    token = await service.administrator()
    path = f"/users/{person.id}/roles"
    for _ in range(2):
        answer = await service.call("PUT", path, token=token, json={"roles": ["admin", "customer"]})
        assert (answer.status_code, answer.json()["roles"]) == (200, ["customer", "admin"])
    assert [data["version"] for _, data in await service.told(person.id)] == [1, 2]

    refreshed = (await service.refresh(person.refresh_token)).json()
    assert (await service.call("GET", f"/users/{person.id}", token=refreshed["access_token"])).status_code == 200
    await service.call("PUT", path, token=token, json={"roles": ["customer"]})
    refreshed = (await service.refresh(refreshed["refresh_token"])).json()
    assert (await service.call("GET", f"/users/{person.id}", token=refreshed["access_token"])).status_code == 403


@pytest.mark.parametrize("roles", [[], ["admin"], ["customer", "root"], "admin", None, ["customer"] * 3])
async def test_roles_that_there_are_not_are_refused(service: Any, roles: Any) -> None:
    person = await service.person()
    answer = await service.call(
        "PUT", f"/users/{person.id}/roles", token=await service.administrator(), json={"roles": roles}
    )
    assert answer.status_code == 422


async def test_nobody_sets_the_roles_of_nobody(service: Any) -> None:
    answer = await service.call(
        "PUT", f"/users/{NOBODY}/roles", token=await service.administrator(), json={"roles": ["customer"]}
    )
    assert answer.status_code == 404


async def test_the_last_administrator_stays(start: Any) -> None:
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
        second = (await service.person()).id
        both = {"roles": ["customer", "admin"]}
        assert (await service.call("PUT", f"/users/{second}/roles", token=token, json=both)).is_success
        async with service.holding("SELECT FROM accounts FOR UPDATE") as let_go:
            changes = [
                asyncio.create_task(
                    service.call("PUT", f"/users/{user_id}/roles", token=token, json={"roles": ["customer"]})
                )
                for user_id in (first, second)
            ]
            await let_go(when_waiting=2)
        codes = {answer.json().get("code", "done") for answer in await asyncio.gather(*changes)}
        # The first of the two is whichever gets the locks: one demotes himself, or is the only one who is left.
        assert codes in ({"done", "forbidden"}, {"done", "last_administrator"})
        rows = await service.rows("SELECT count(*) FROM accounts WHERE 'admin' = ANY (roles)")
        assert rows[0][0] == 1


async def test_the_first_administrator_is_made_once_and_never_again(start: Any) -> None:
    async with start() as service, start():
        token = await service.administrator()
        assert (await service.call("GET", "/users", token=token)).status_code == 200
        moved = await service.call("PATCH", "/users/me", token=token, json={"email": "boss@cartwright.example"})
        assert moved.status_code == 200
    async with start() as service:
        assert (await service.rows("SELECT count(*) FROM accounts"))[0][0] == 1


async def test_an_account_that_has_the_first_administrators_address_is_not_raised(start: Any) -> None:
    async with start(admin_email="", admin_password="") as service:
        await service.register("admin@cartwright.example", password="somebody's own password")
    async with start() as service:
        assert (await service.rows("SELECT roles FROM accounts"))[0]["roles"] == ["customer"]


async def test_services_look_people_up_in_the_order_of_their_asking(service: Any, service_token: Any) -> None:
    people = [await service.person() for _ in range(3)]
    await service.call("DELETE", "/users/me", token=people[1].access_token)
    ids = [people[2].id, NOBODY, people[1].id, people[0].id, people[2].id]
    for name in ("orders", "notifications"):
        answer = await service.call("POST", "/users/lookup", token=service_token(name, "users"), json={"ids": ids})
        assert answer.status_code == 200
        assert [item["id"] for item in answer.json()["items"]] == [people[2].id, people[0].id]


async def test_a_lookup_of_too_many_or_of_no_ids_is_refused(service: Any, service_token: Any) -> None:
    token = service_token("orders", "users")
    for ids in ([NOBODY] * 257, ["x"], [1], None, "x"):
        assert (await service.call("POST", "/users/lookup", token=token, json={"ids": ids})).status_code == 422


ROUTES = [
    ("GET", "/users/me", "person"),
    ("PATCH", "/users/me", "person"),
    ("DELETE", "/users/me", "person"),
    ("GET", "/users/me/preferences", "person"),
    ("PUT", "/users/me/preferences", "person"),
    ("GET", "/users", "administrator"),
    ("GET", f"/users/{NOBODY}", "administrator"),
    ("PUT", f"/users/{NOBODY}/roles", "administrator"),
    ("POST", "/auth/keys/rotate", "administrator"),
    ("POST", "/users/lookup", "service"),
]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
async def test_each_route_is_for_those_alone_who_need_it(
    service: Any, service_token: Any, access_token: Any, method: str, path: str, needed: str
) -> None:
    assert (await service.call(method, path)).status_code == 401
    assert (await service.call(method, path, headers={"x-user-id": NOBODY})).status_code == 401
    foreign = access_token(user_id=NOBODY, roles=["customer", "admin"])
    assert (await service.call(method, path, token=foreign)).status_code == 401, "signed with a key of somebody else"
    refused = [service_token("orders", "catalog")]
    for token in refused:
        assert (await service.call(method, path, token=token)).status_code == 401, "meant for another service"
    if needed == "service":
        forbidden = [await service.administrator(), service_token("payments", "users")]
    elif needed == "administrator":
        forbidden = [(await service.person()).access_token, service_token("orders", "users")]
    else:
        forbidden = [service_token("orders", "users")]
    for token in forbidden:
        assert (await service.call(method, path, token=token)).status_code == 403
