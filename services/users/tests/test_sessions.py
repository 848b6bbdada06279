"""Sessions: what opens one, what ends one, and what a stolen refresh token is good for."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import pytest

from users.password_hasher import PasswordHasher

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_whole_session(service: Any) -> None:
    person = await service.person()
    second = (await service.refresh(person.refresh_token)).json()["refresh_token"]
    third = (await service.refresh(second)).json()["refresh_token"]
    reused = await service.refresh(second)
    assert (reused.status_code, reused.json()["code"]) == (400, "invalid_grant")
    assert (await service.refresh(third)).json()["code"] == "invalid_grant", "the newest has gone with the others"


async def test_the_reuse_of_a_token_leaves_the_other_sessions_of_the_person_alone(service: Any) -> None:
    person = await service.person()
    elsewhere = (await service.sign_in(person.email)).json()["refresh_token"]
    await service.refresh(person.refresh_token)
    await service.refresh(person.refresh_token)
    assert (await service.refresh(elsewhere)).status_code == 200


async def test_of_many_uses_of_one_token_at_once_one_wins_and_the_session_ends(service: Any) -> None:
    person = await service.person()
    session = "SELECT FROM sessions WHERE account_id = $1 FOR UPDATE"
    async with service.holding(session, UUID(person.id)) as let_go:
        uses = [asyncio.create_task(service.refresh(person.refresh_token)) for _ in range(5)]
        await let_go(when_waiting=5)
    answers = await asyncio.gather(*uses)
    winners = [answer for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert (await service.refresh(winners[0].json()["refresh_token"])).status_code == 400


async def test_a_refresh_token_that_has_expired_is_refused(service: Any) -> None:
    person = await service.person()
    await service.rows(
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 s' WHERE hash = $1", _hash(person.refresh_token)
    )
    assert (await service.refresh(person.refresh_token)).json()["code"] == "invalid_grant"


async def test_a_refresh_token_lives_for_thirty_days_from_its_own_making(service: Any) -> None:
    person = await service.person()
    await service.rows("UPDATE sessions SET expires_at = now() WHERE account_id = $1", person.id)
    newest = (await service.refresh(person.refresh_token)).json()["refresh_token"]
    rows = await service.rows(
        """
        SELECT round(extract(epoch FROM refresh_tokens.expires_at - now()) / 86400)::int AS token,
               round(extract(epoch FROM sessions.expires_at - now()) / 86400)::int AS session
        FROM refresh_tokens JOIN sessions ON sessions.id = session_id WHERE hash = $1
        """,
        _hash(newest),
    )
    assert tuple(rows[0]) == (30, 30)


async def test_a_refresh_token_itself_is_not_kept(service: Any) -> None:
    person = await service.person()
    kept = "".join(str(row) for row in await service.rows("SELECT t::text FROM refresh_tokens AS t"))
    assert person.refresh_token not in kept
    assert _hash(person.refresh_token).hex() in kept


async def test_signing_out_ends_the_session_whichever_of_its_tokens_is_given(service: Any) -> None:
    person = await service.person()
    newest = (await service.refresh(person.refresh_token)).json()["refresh_token"]
    answer = await service.call("POST", "/auth/sign-out", json={"refresh_token": person.refresh_token})
    assert answer.status_code == 204
    assert (await service.refresh(newest)).json()["code"] == "invalid_grant"


async def test_signing_out_of_what_never_was_is_no_error(service: Any) -> None:
    assert (await service.call("POST", "/auth/sign-out", json={"refresh_token": "nothing"})).status_code == 204


async def test_a_refresh_token_is_none_for_access(service: Any) -> None:
    person = await service.person()
    assert (await service.call("GET", "/users/me", token=person.refresh_token)).status_code == 401


async def test_an_expired_access_token_does_not_hinder_a_refresh(service: Any) -> None:
    person = await service.person()
    form = {"grant_type": "refresh_token", "refresh_token": person.refresh_token}
    assert (await service.call("POST", "/auth/token", token="ex.pi.red", data=form)).status_code == 200


async def test_an_unknown_address_is_refused_in_the_same_words_as_a_wrong_password(service: Any) -> None:
    person = await service.person()
    wrong = (await service.sign_in(person.email, "a wrong password")).json()
    unknown = (await service.sign_in("nobody@example.com")).json()
    assert wrong.pop("correlation_id") != unknown.pop("correlation_id")
    assert wrong == unknown
    assert (wrong["status"], wrong["code"], wrong["error"]) == (400, "invalid_grant", "invalid_grant")


@pytest.mark.parametrize("email", ["nobody@example.com", "no address", "", "a\x00b@example.com", "x" * 5_000])
async def test_a_sign_in_without_an_account_costs_one_password_check(
    service: Any, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    checks = 0
    check = PasswordHasher.verify

    async def count(self: PasswordHasher, password: str, kept_hash: str | None, source: str) -> bool:
        nonlocal checks
        checks += 1
        return await check(self, password, kept_hash, source)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    assert (await service.sign_in(email)).json()["code"] == "invalid_grant"
    assert checks == 1


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"grant_type=password&username=a%40example.com", "invalid_request"),
        (b"grant_type=password&password=x", "invalid_request"),
        (b"grant_type=refresh_token", "invalid_request"),
        (b"username=a&password=b", "invalid_request"),
        (b"grant_type=password&grant_type=password&username=a&password=b", "invalid_request"),
        (b"grant_type=client_credentials", "unsupported_grant_type"),
        (b"grant_type=refresh_token&refresh_token=%00%ff", "invalid_grant"),
        (b"grant_type=refresh_token&refresh_token=unknown&scope=all&client_id=app", "invalid_grant"),
    ],
)
async def test_a_form_that_will_not_do_is_told_as_oauth_and_as_a_problem(service: Any, form: bytes, code: str) -> None:
    answer = await service.call("POST", "/auth/token", content=form, headers=FORM)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["error"]) == (code, code)
    assert answer.json()["error_description"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"grant_type": "password"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"grant_type=password"),
    ],
)
async def test_only_a_form_is_taken_for_tokens(service: Any, content_type: str, body: bytes) -> None:
    answer = await service.call("POST", "/auth/token", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


async def test_a_password_with_the_special_characters_of_forms_signs_in(service: Any) -> None:
    password = "100% a&b=c + d;é ✓"
    await service.register("special@example.com", password=password)
    assert (await service.sign_in("special@example.com", password)).status_code == 200


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
