"""Requests of users about their own account, and the events that follow."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_change_of_profile_increases_the_version_and_emits_an_event(service: Any) -> None:
    user = await service.new_user()
    changed = await service.call(
        "PATCH", "/users/me", token=user.access_token, json={"name": " Ada King ", "email": "Ada.King@Example.org"}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["email"]) == ("Ada King", "ada.king@example.org")
    type_, data = (await service.events_of(user.id))[-1]
    assert type_ == "user.updated"
    assert data == {
        "user_id": user.id,
        "email": "ada.king@example.org",
        "name": "Ada King",
        "preferences": {"order_emails": True, "payment_emails": True},
        "version": 2,
    }
    assert (await service.sign_in(user.email)).status_code == 400
    assert (await service.sign_in("ada.king@example.org")).status_code == 200


async def test_a_change_that_changes_nothing_emits_no_event(service: Any) -> None:
    user = await service.new_user(name="Ada")
    for body in ({}, {"name": "Ada"}, {"email": user.email.upper()}):
        assert (await service.call("PATCH", "/users/me", token=user.access_token, json=body)).status_code == 200
    everything = {"order_emails": True, "payment_emails": True}
    await service.call("PUT", "/users/me/preferences", token=user.access_token, json=everything)
    assert len(await service.events_of(user.id)) == 1


async def test_the_address_of_another_account_cannot_be_taken_over(service: Any) -> None:
    user, other = await service.new_user(), await service.new_user()
    answer = await service.call("PATCH", "/users/me", token=user.access_token, json={"email": other.email})
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert len(await service.events_of(user.id)) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "Ada\u202ekcirT"},
        {"name": "Ada\nTotal"},
        {"name": "\u200d"},
        {"name": 1},
        {"email": "no address"},
        {"email": None},
        {"roles": ["admin"]},
        {"id": "x"},
        {"password": "another password"},
        [],
    ],
)
async def test_an_unacceptable_change_has_no_effect(service: Any, body: Any) -> None:
    user = await service.new_user()
    answer = await service.call("PATCH", "/users/me", token=user.access_token, json=body)
    assert answer.status_code == 422, answer.text
    assert len(await service.events_of(user.id)) == 1


async def test_a_name_is_stored_in_nfc_and_has_to_be_one_visible_line(service: Any) -> None:
    user = await service.new_user(name="Zoe\u0308")
    assert (await service.call("GET", "/users/me", token=user.access_token)).json()["name"] == "Zoë"
    refused = await service.call("PATCH", "/users/me", token=user.access_token, json={"name": "A\u2028B"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_name")


async def test_concurrent_changes_emit_events_in_the_order_of_their_versions(service: Any) -> None:
    user = await service.new_user()
    await asyncio.gather(
        *(
            service.call("PATCH", "/users/me", token=user.access_token, json={"name": f"Ada {number}"})
            for number in range(10)
        )
    )
    events = await service.events_of(user.id)
    assert [data["version"] for _, data in events] == list(range(1, 12))
    profile = (await service.call("GET", "/users/me", token=user.access_token)).json()
    assert profile["name"] == events[-1][1]["name"]


async def test_a_change_of_preferences_is_read_again_and_emits_an_event(service: Any) -> None:
    user = await service.new_user()
    path = "/users/me/preferences"
    assert (await service.call("GET", path, token=user.access_token)).json() == {
        "order_emails": True,
        "payment_emails": True,
    }
    wanted = {"order_emails": True, "payment_emails": False}
    assert (await service.call("PUT", path, token=user.access_token, json=wanted)).json() == wanted
    assert (await service.call("GET", path, token=user.access_token)).json() == wanted
    type_, data = (await service.events_of(user.id))[-1]
    assert (type_, data["preferences"], data["version"]) == ("user.updated", wanted, 2)


@pytest.mark.parametrize(
    "body", [{}, {"order_emails": True}, {"order_emails": "yes", "payment_emails": 1}, {"order_emails": None}]
)
async def test_preferences_are_set_as_a_whole(service: Any, body: dict[str, Any]) -> None:
    user = await service.new_user()
    answer = await service.call("PUT", "/users/me/preferences", token=user.access_token, json=body)
    assert answer.status_code == 422


async def test_a_deleted_account_leaves_no_personal_data_and_no_valid_token(service: Any) -> None:
    user = await service.new_user(name="Ada Forgotten")
    assert (await service.call("DELETE", "/users/me", token=user.access_token)).status_code == 204
    # A client without an answer repeats its request.
    again = await service.call("DELETE", "/users/me", token=user.access_token)
    assert (again.status_code, again.json()["code"]) == (401, "account_gone")

    assert (await service.events_of(user.id))[1:] == [("user.deleted", {"user_id": user.id, "version": 2})]
    rows = await service.rows("SELECT accounts::text AS tombstone FROM accounts WHERE id = $1", UUID(user.id))
    assert user.email not in rows[0]["tombstone"]
    assert "Ada Forgotten" not in rows[0]["tombstone"]
    assert not await service.rows("SELECT id FROM sessions WHERE account_id = $1", UUID(user.id))

    assert (await service.refresh(user.refresh_token)).json()["code"] == "invalid_grant"
    assert (await service.sign_in(user.email)).json()["code"] == "invalid_grant"
    gone = await service.call("GET", "/users/me", token=user.access_token)
    assert (gone.status_code, gone.json()["code"]) == (401, "account_gone")
    changed = await service.call("PATCH", "/users/me", token=user.access_token, json={"name": "Eve"})
    assert (changed.status_code, changed.json()["code"]) == (401, "account_gone")


async def test_the_address_of_a_deleted_account_is_free_again(service: Any) -> None:
    user = await service.new_user()
    await service.call("DELETE", "/users/me", token=user.access_token)
    again = await service.register(user.email)
    assert again.status_code == 201
    assert again.json()["id"] != user.id


async def test_an_account_deleted_while_it_signs_in_keeps_no_session(service: Any) -> None:
    user = await service.new_user()
    async with service.locked("SELECT FROM accounts WHERE id = $1 FOR UPDATE", UUID(user.id)) as release:
        deletion = asyncio.create_task(service.call("DELETE", "/users/me", token=user.access_token))
        sign_ins = [asyncio.create_task(service.sign_in(user.email)) for _ in range(3)]
        await release(when_waiting=4)
    assert (await deletion).status_code == 204
    assert {answer.status_code for answer in await asyncio.gather(*sign_ins)} <= {200, 400}
    assert not await service.rows("SELECT id FROM sessions WHERE account_id = $1", UUID(user.id))


async def test_a_profile_that_was_changed_since_it_was_read_is_not_overwritten(service: Any) -> None:
    user = await service.new_user(name="Ada")
    everything = {"order_emails": False, "payment_emails": True}
    for path, method, bodies in (
        ("/users/me", "PATCH", [{"name": "Grace"}, {"name": "Joan"}]),
        ("/users/me/preferences", "PUT", [everything, {"order_emails": True, "payment_emails": True}]),
    ):
        token = user.access_token
        tag = {"if-match": (await service.call("GET", path, token=token)).headers["etag"]}
        changed = await service.call(method, path, token=token, json=bodies[0], headers=tag)
        assert changed.status_code == 200, changed.text
        assert changed.headers["etag"] != tag["if-match"]
        refused = await service.call(method, path, token=token, json=bodies[1], headers=tag)
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
        malformed = await service.call(method, path, token=token, json=bodies[1], headers={"if-match": "x"})
        assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed")
        now = await service.call("GET", path, token=token)
        assert (now.json(), now.headers["etag"]) == (changed.json(), changed.headers["etag"])
        assert (await service.call(method, path, token=token, json=bodies[1])).status_code == 200


async def test_of_tabs_that_have_read_the_same_profile_one_saves(service: Any) -> None:
    user = await service.new_user()
    tag = {"if-match": (await service.call("GET", "/users/me", token=user.access_token)).headers["etag"]}
    answers = await asyncio.gather(
        *(
            service.call("PATCH", "/users/me", token=user.access_token, json={"name": f"Tab {n}"}, headers=tag)
            for n in range(6)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 5
