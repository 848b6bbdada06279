"""The revoked tokens: users refuses them, and lists them to the other services."""

import asyncio
from typing import Any

import pytest

from users import read_revocations

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN_ACCOUNT_ROUTES = [
    ("GET", "/users/me", None),
    ("PATCH", "/users/me", {"name": "Eve"}),
    ("DELETE", "/users/me", None),
    ("GET", "/users/me/preferences", None),
    ("PUT", "/users/me/preferences", {"order_emails": True, "payment_emails": True}),
]


async def read_feed(service: Any, service_token: Any, after: str | None = None) -> tuple[list[dict[str, Any]], str]:
    query = {} if after is None else {"after": after}
    answer = await service.call("GET", "/revocations", token=service_token("audit", "users"), params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"], answer.json()["cursor"]


def of_session(session: str) -> dict[str, Any]:
    return {"session_id": session, "user_id": None, "version": None}


def of_account(user_id: str, version: int) -> dict[str, Any]:
    return {"session_id": None, "user_id": user_id, "version": version}


async def sessions_of(service: Any, user_id: str) -> list[str]:
    rows = await service.rows("SELECT id::text FROM sessions WHERE account_id = $1 ORDER BY started_at", user_id)
    return [row["id"] for row in rows]


async def sign_out(service: Any, user: Any) -> None:
    answer = await service.call("POST", "/auth/sign-out", json={"refresh_token": user.refresh_token})
    assert answer.status_code == 204


@pytest.mark.parametrize(("method", "path", "body"), OWN_ACCOUNT_ROUTES)
async def test_a_sign_out_revokes_the_access_tokens_of_this_session_only(
    service: Any, method: str, path: str, body: Any
) -> None:
    user = await service.new_user()
    other = (await service.sign_in(user.email)).json()["access_token"]
    await sign_out(service, user)
    refused = await service.call(method, path, token=user.access_token, json=body)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await service.call(method, path, token=other, json=body)).is_success


async def test_administrators_who_demote_themselves_lose_the_role_immediately(service: Any) -> None:
    user = await service.new_user()
    path, both = f"/users/{user.id}/roles", {"roles": ["customer", "admin"]}
    await service.call("PUT", path, token=await service.administrator(), json=both)
    own = (await service.refresh(user.refresh_token)).json()
    demoted = await service.call("PUT", path, token=own["access_token"], json={"roles": ["customer"]})
    assert demoted.status_code == 200
    for method, target, body in [("PUT", path, both), ("GET", "/users", None), ("POST", "/auth/keys/rotate", None)]:
        answer = await service.call(method, target, token=own["access_token"], json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    customer = (await service.refresh(own["refresh_token"])).json()["access_token"]
    assert (await service.call("PUT", path, token=customer, json=both)).status_code == 403
    assert (await service.rows("SELECT roles FROM accounts WHERE id = $1", user.id))[0]["roles"] == ["customer"]


async def test_a_token_stays_revoked_when_the_roles_return(service: Any) -> None:
    user, administrator = await service.new_user(), await service.administrator()
    path, both = f"/users/{user.id}/roles", {"roles": ["customer", "admin"]}
    await service.call("PUT", path, token=administrator, json=both)
    before = (await service.refresh(user.refresh_token)).json()
    await service.call("PUT", path, token=administrator, json={"roles": ["customer"]})
    await service.call("PUT", path, token=administrator, json=both)
    refused = await service.call("GET", "/users", token=before["access_token"])
    assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")
    after = (await service.refresh(before["refresh_token"])).json()["access_token"]
    assert (await service.call("GET", "/users", token=after)).status_code == 200


async def test_a_change_of_the_name_revokes_no_token(service: Any) -> None:
    user = await service.new_user()
    changed = await service.call("PATCH", "/users/me", token=user.access_token, json={"name": "Ada King"})
    assert changed.status_code == 200
    assert (await service.call("GET", "/users/me", token=user.access_token)).status_code == 200


async def test_an_administrator_demoted_between_the_guard_and_the_lock_changes_no_roles(start: Any) -> None:
    async with start() as service:
        first = await service.administrator()
        user = await service.new_user()
        path, both = f"/users/{user.id}/roles", {"roles": ["customer", "admin"]}
        await service.call("PUT", path, token=first, json=both)
        second = (await service.refresh(user.refresh_token)).json()["access_token"]
        # Both are past the guard when the first to get the locks takes the other's role.
        async with service.locked("SELECT FROM accounts FOR UPDATE") as release:
            demotion = asyncio.create_task(service.call("PUT", path, token=first, json={"roles": ["customer"]}))
            await asyncio.sleep(0.3)
            promotion = asyncio.create_task(service.call("PUT", path, token=second, json=both))
            await release(when_waiting=2)
        assert (await demotion).status_code == 200
        assert (await promotion).status_code == 403
        assert (await service.rows("SELECT roles FROM accounts WHERE id = $1", user.id))[0]["roles"] == ["customer"]


async def test_each_kind_of_revocation_is_listed_once_after_a_cursor(service: Any, service_token: Any) -> None:
    _, cursor = await read_feed(service, service_token)
    user, deleted = await service.new_user(), await service.new_user()
    [session] = await sessions_of(service, user.id)
    await sign_out(service, user)
    token = await service.administrator()
    await service.call("PUT", f"/users/{user.id}/roles", token=token, json={"roles": ["customer", "admin"]})
    await service.call("DELETE", "/users/me", token=deleted.access_token)
    reused = await service.new_user()
    [family] = await sessions_of(service, reused.id)
    await service.refresh(reused.refresh_token)
    await service.refresh(reused.refresh_token)
    # These revoke nothing: a change of the name, and a second sign-out.
    await service.call("PATCH", "/users/me", token=token, json={"name": "The boss"})
    await sign_out(service, user)

    expected = [of_session(session), of_account(user.id, 2), of_account(deleted.id, 2), of_session(family)]
    items, later = await read_feed(service, service_token, cursor)
    assert sorted(items, key=str) == sorted(expected, key=str)
    assert (await read_feed(service, service_token, later))[0] == []
    everything, _ = await read_feed(service, service_token)
    assert [item for item in expected if item not in everything] == []


async def test_revocations_whose_tokens_have_expired_are_omitted(start: Any, service_token: Any) -> None:
    async with start() as service:
        old, new = await service.new_user(), await service.new_user()
        [session] = await sessions_of(service, new.id)
        await sign_out(service, old)
        # A lifetime of 15 minutes, one for the difference of clocks, two for the longest transaction, and a margin.
        await service.rows("UPDATE journal SET time = time - interval '20 minutes'")
        await sign_out(service, new)
        assert (await read_feed(service, service_token))[0] == [of_session(session)]


async def test_of_too_many_revocations_the_newest_are_listed_and_all_older_tokens_are_refused(
    start: Any, service_token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_revocations, "REVOCATIONS_MAX", 2)
    async with start() as service:
        new_users = [await service.new_user() for _ in range(3)]
        sessions = [(await sessions_of(service, user.id))[0] for user in new_users]
        for user in new_users:
            await sign_out(service, user)
        answer = await service.call("GET", "/revocations", token=service_token("audit", "users"))
        assert answer.json()["items"] == [of_session(session) for session in reversed(sessions[1:])]
        assert answer.json()["issued_before"] is not None


async def test_a_restored_database_lists_its_revocations(start: Any, service_token: Any) -> None:
    async with start() as service:
        # As `chassis.messaging.restore_detection` leaves it when the dump comes from a cluster with higher numbers.
        await service.rows("SELECT pg_current_xact_id()")
        await service.rows(
            """
            CREATE OR REPLACE FUNCTION journal_number(transaction_id xid8) RETURNS xid8 LANGUAGE sql STABLE
            AS 'SELECT (transaction_id::text::numeric + 1000000)::text::xid8'
            """
        )
        await service.rows(
            "ALTER TABLE journal ALTER COLUMN transaction_id SET DEFAULT journal_number(pg_current_xact_id())"
        )
        _, cursor = await read_feed(service, service_token)
        user = await service.new_user()
        [session] = await sessions_of(service, user.id)
        await sign_out(service, user)
        items, later = await read_feed(service, service_token, cursor)
        assert items == [of_session(session)]
        assert (await read_feed(service, service_token, later))[0] == []


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "1:2", "3:2:", "1:2:9", "1:1:,", "9" * 21 + ":1:", "1:1:" + "1," * 10_000]
)
async def test_a_malformed_cursor_is_refused(service: Any, service_token: Any, cursor: str) -> None:
    answer = await service.call("GET", "/revocations", token=service_token("audit", "users"), params={"after": cursor})
    assert answer.status_code == 422, answer.text


async def test_only_services_may_read_revocations(service: Any) -> None:
    assert (await service.call("GET", "/revocations")).status_code == 401
    for token in (await service.administrator(), (await service.new_user()).access_token):
        assert (await service.call("GET", "/revocations", token=token)).status_code == 403
