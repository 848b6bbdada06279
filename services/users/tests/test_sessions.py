"""Sessions: their begin, their end, and the reuse of a stolen refresh token."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import pytest

from users.password_hasher import PasswordHasher

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = {"content-type": "application/x-www-form-urlencoded"}


async def test_a_refresh_token_is_valid_once_and_its_reuse_ends_the_session(service: Any) -> None:
    user = await service.new_user()
    second = (await service.refresh(user.refresh_token)).json()["refresh_token"]
    third = (await service.refresh(second)).json()["refresh_token"]
    reused = await service.refresh(second)
    assert (reused.status_code, reused.json()["code"]) == (400, "invalid_grant")
    assert (await service.refresh(third)).json()["code"] == "invalid_grant", "the newest token is invalid too"


async def test_the_reuse_of_a_token_does_not_affect_other_sessions_of_the_user(service: Any) -> None:
    user = await service.new_user()
    other = (await service.sign_in(user.email)).json()["refresh_token"]
    await service.refresh(user.refresh_token)
    await service.refresh(user.refresh_token)
    assert (await service.refresh(other)).status_code == 200


async def test_of_concurrent_uses_of_one_token_one_wins_and_the_session_ends(service: Any) -> None:
    user = await service.new_user()
    session = "SELECT FROM sessions WHERE account_id = $1 FOR UPDATE"
    async with service.locked(session, UUID(user.id)) as release:
        uses = [asyncio.create_task(service.refresh(user.refresh_token)) for _ in range(5)]
        await release(when_waiting=5)
    answers = await asyncio.gather(*uses)
    winners = [answer for answer in answers if answer.status_code == 200]
    assert len(winners) == 1
    assert (await service.refresh(winners[0].json()["refresh_token"])).status_code == 400


async def test_an_expired_refresh_token_is_refused(service: Any) -> None:
    user = await service.new_user()
    await service.rows(
        "UPDATE refresh_tokens SET expires_at = now() - interval '1 s' WHERE hash = $1", _hash(user.refresh_token)
    )
    assert (await service.refresh(user.refresh_token)).json()["code"] == "invalid_grant"


async def test_a_refresh_token_expires_thirty_days_after_it_was_issued(service: Any) -> None:
    user = await service.new_user()
    await service.rows("UPDATE sessions SET expires_at = now() WHERE account_id = $1", user.id)
    newest = (await service.refresh(user.refresh_token)).json()["refresh_token"]
    rows = await service.rows(
        """
        SELECT round(extract(epoch FROM refresh_tokens.expires_at - now()) / 86400)::int AS token,
               round(extract(epoch FROM sessions.expires_at - now()) / 86400)::int AS session
        FROM refresh_tokens JOIN sessions ON sessions.id = session_id WHERE hash = $1
        """,
        _hash(newest),
    )
    assert tuple(rows[0]) == (30, 30)


async def test_a_refresh_token_is_stored_only_as_a_hash(service: Any) -> None:
    user = await service.new_user()
    stored = "".join(str(row) for row in await service.rows("SELECT t::text FROM refresh_tokens AS t"))
    assert user.refresh_token not in stored
    assert _hash(user.refresh_token).hex() in stored


async def test_each_refresh_token_of_a_session_can_end_it(service: Any) -> None:
    user = await service.new_user()
    newest = (await service.refresh(user.refresh_token)).json()["refresh_token"]
    answer = await service.call("POST", "/auth/sign-out", json={"refresh_token": user.refresh_token})
    assert answer.status_code == 204
    assert (await service.refresh(newest)).json()["code"] == "invalid_grant"


async def test_a_sign_out_with_an_unknown_token_is_no_error(service: Any) -> None:
    assert (await service.call("POST", "/auth/sign-out", json={"refresh_token": "nothing"})).status_code == 204


async def test_a_refresh_token_is_not_accepted_as_an_access_token(service: Any) -> None:
    user = await service.new_user()
    assert (await service.call("GET", "/users/me", token=user.refresh_token)).status_code == 401


async def test_an_expired_access_token_does_not_prevent_a_refresh(service: Any) -> None:
    user = await service.new_user()
    form = {"grant_type": "refresh_token", "refresh_token": user.refresh_token}
    assert (await service.call("POST", "/auth/token", token="ex.pi.red", data=form)).status_code == 200


async def test_an_unknown_address_gets_the_same_refusal_as_a_wrong_password(service: Any) -> None:
    user = await service.new_user()
    wrong = (await service.sign_in(user.email, "a wrong password")).json()
    unknown = (await service.sign_in("unknown@example.com")).json()
    assert wrong.pop("correlation_id") != unknown.pop("correlation_id")
    assert wrong == unknown
    assert (wrong["status"], wrong["code"], wrong["error"]) == (400, "invalid_grant", "invalid_grant")


@pytest.mark.parametrize("email", ["unknown@example.com", "no address", "", "a\x00b@example.com", "x" * 5_000])
async def test_a_sign_in_without_an_account_costs_one_password_check(
    service: Any, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    checks = 0
    check = PasswordHasher.verify

    async def count(self: PasswordHasher, password: str, password_hash: str | None, source: str) -> bool:
        nonlocal checks
        checks += 1
        return await check(self, password, password_hash, source)

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
async def test_an_invalid_form_gets_an_oauth_error_in_a_problem(service: Any, form: bytes, code: str) -> None:
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
async def test_the_token_endpoint_accepts_only_a_form(service: Any, content_type: str, body: bytes) -> None:
    answer = await service.call("POST", "/auth/token", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


async def test_a_password_with_the_special_characters_of_forms_signs_in(service: Any) -> None:
    password = "100% a&b=c + d;é ✓"
    await service.register("special@example.com", password=password)
    assert (await service.sign_in("special@example.com", password)).status_code == 200


def _hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
