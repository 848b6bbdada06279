"""Guesses at a password over HTTP: the limits stop the guesser, and never the owner. Time passes in the database."""

import asyncio
from typing import Any

import pytest

from chassis.problems import Overloaded
from users.domain.session import hash_token
from users.domain.sign_in_limits import ACCOUNT_LIMIT, PAIR_LIMIT, SOURCE_LIMIT
from users.password_hasher import PasswordHasher

pytestmark = pytest.mark.asyncio(loop_scope="module")
GUESSER, OWNER = "203.0.113.9", "198.51.100.4"
COOKIE = "__Host-device"


async def let_time_pass(service: Any, seconds: float) -> None:
    await service.rows(
        """
        UPDATE sign_in_budgets
        SET full_at = full_at - make_interval(secs => $1), turn_at = turn_at - make_interval(secs => $1)
        """,
        seconds,
    )


async def guesses(service: Any, email: str, count: int, source: str = GUESSER) -> list[int]:
    answers = [await service.sign_in(email, f"guess {number}", source=source) for number in range(count)]
    return [answer.status_code for answer in answers]


async def use_up(service: Any, email: str) -> None:
    """Use up the budget of all unknown devices at this account."""
    for number in range(ACCOUNT_LIMIT.burst // PAIR_LIMIT.burst):
        assert await guesses(service, email, PAIR_LIMIT.burst, f"203.0.114.{number}") == [400] * PAIR_LIMIT.burst


async def test_four_wrong_passwords_a_second_of_another_source_never_throttle_the_owner(service: Any) -> None:
    user = await service.new_user()
    owners = []
    for tick in range(400):
        await service.sign_in(user.email, "a wrong password", source=GUESSER)
        if tick % 12 == 0:
            owners.append((await service.sign_in(user.email, source=OWNER)).status_code)
        await let_time_pass(service, 0.25)
    assert owners == [200] * 34


async def test_one_source_has_ten_guesses_and_then_one_a_minute(service: Any) -> None:
    user = await service.new_user()
    # Concurrently, since each of them has to count.
    answers = await asyncio.gather(
        *(service.sign_in(user.email, f"guess {number}", source=GUESSER) for number in range(15))
    )
    assert sorted(answer.status_code for answer in answers) == [400] * 10 + [429] * 5
    throttled = await service.sign_in(user.email, source=GUESSER)
    assert (throttled.status_code, throttled.json()["code"]) == (429, "too_many_attempts")
    assert 50 < int(throttled.headers["retry-after"]) <= PAIR_LIMIT.interval_s
    assert (await service.refresh(user.refresh_token)).status_code == 200, "an existing session is not affected"
    await let_time_pass(service, PAIR_LIMIT.interval_s)
    assert await guesses(service, user.email, 2) == [400, 429]


async def test_a_household_is_one_source(service: Any) -> None:
    user = await service.new_user()
    answers = [
        await service.sign_in(user.email, "a wrong password", source=f"2001:db8:1:2::{number}") for number in range(11)
    ]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]


async def test_an_address_without_an_account_is_throttled_in_the_same_way(service: Any) -> None:
    assert await guesses(service, "throttled@example.com", 11, "203.0.113.77") == [400] * 10 + [429]


async def test_a_source_that_tries_many_accounts_is_throttled(service: Any) -> None:
    statuses = []
    for number in range(SOURCE_LIMIT.burst + 1):
        statuses += await guesses(service, f"sprayed{number}@example.com", 1, "203.0.113.80")
    assert statuses == [400] * SOURCE_LIMIT.burst + [429]
    rows = await service.rows("SELECT count(*) FROM sign_in_budgets")
    await guesses(service, "one-more@example.com", 1, "203.0.113.80")
    assert await service.rows("SELECT count(*) FROM sign_in_budgets") == rows, "a refusal inserts no budget"


async def test_many_sources_never_throttle_a_known_device(service: Any) -> None:
    user = await service.new_user()
    known = (await service.sign_in(user.email, source=OWNER)).json()["device_token"]
    await use_up(service, user.email)
    from_a_new_network = [await service.sign_in(user.email, source="198.51.100.99", device=known) for _ in range(20)]
    assert {answer.status_code for answer in from_a_new_network} == {200}
    assert {answer.json()["device_token"] for answer in from_a_new_network} == {known}


async def test_many_sources_make_a_new_device_wait_for_a_slot_that_it_gets(service: Any) -> None:
    user = await service.new_user()
    await use_up(service, user.email)
    waiting = await service.sign_in(user.email, source="198.51.100.30")
    assert waiting.status_code == 429
    wait_s = int(waiting.headers["retry-after"])
    assert 0 < wait_s <= ACCOUNT_LIMIT.interval_s
    for number in range(30):
        await guesses(service, user.email, 1, f"203.0.115.{number}")
    await let_time_pass(service, wait_s)
    answer = await service.sign_in(user.email, source="198.51.100.30")
    assert answer.status_code == 200, answer.text
    known = answer.json()["device_token"]
    assert (await service.sign_in(user.email, source="198.51.100.31", device=known)).status_code == 200


async def test_a_stolen_device_token_gives_ten_guesses(service: Any) -> None:
    user = await service.new_user()
    stolen = (await service.sign_in(user.email, source=OWNER)).json()["device_token"]
    answers = [
        (await service.sign_in(user.email, f"guess {number}", source=GUESSER, device=stolen)).status_code
        for number in range(25)
    ]
    assert answers == [400] * 20 + [429] * 5, "ten of the device, and ten of an unknown device"


async def test_a_device_is_known_only_to_its_own_account(service: Any) -> None:
    user, other = await service.new_user(), await service.new_user()
    foreign = (await service.sign_in(other.email, source=OWNER)).json()["device_token"]
    await use_up(service, user.email)
    for token in (foreign, "made up", "x" * 5_000):
        assert (await service.sign_in(user.email, source=OWNER, device=token)).status_code == 429


async def test_the_device_cookie_is_hidden_from_scripts_and_other_sites(service: Any) -> None:
    user = await service.new_user()
    answer = await service.sign_in(user.email, source=OWNER)
    cookie = answer.headers["set-cookie"]
    name, _, attributes = cookie.partition("=")
    assert name == COOKIE
    assert attributes.startswith(answer.json()["device_token"])
    for attribute in ("HttpOnly", "Secure", "SameSite=strict", "Path=/", "Max-Age=15552000"):
        assert attribute.lower() in attributes.lower()
    await use_up(service, user.email)
    form = {"grant_type": "password", "username": user.email, "password": "correct horse battery"}
    with_cookie = {"cookie": f"{COOKIE}={answer.json()['device_token']}", "x-client-address": "198.51.100.40"}
    assert (await service.call("POST", "/auth/token", data=form, headers=with_cookie)).status_code == 200


async def test_the_answer_to_a_refresh_has_no_device_token(service: Any) -> None:
    user = await service.new_user()
    answer = await service.refresh(user.refresh_token)
    assert "device_token" not in answer.json()
    assert "set-cookie" not in answer.headers


async def test_a_device_token_is_stored_only_as_a_hash_and_an_account_knows_twenty(service: Any) -> None:
    user = await service.new_user()
    tokens = [(await service.sign_in(user.email, source=OWNER)).json()["device_token"] for _ in range(22)]
    stored = {
        row["hash"] for row in await service.rows("SELECT hash FROM known_devices WHERE account_id = $1", user.id)
    }
    assert stored == {hash_token(token) for token in tokens[-20:]}


async def test_an_expired_device_and_one_of_a_deleted_account_are_unknown(
    service: Any,
) -> None:
    user = await service.new_user()
    known = (await service.sign_in(user.email, source=OWNER)).json()["device_token"]
    await service.rows("UPDATE known_devices SET expires_at = now() WHERE account_id = $1", user.id)
    await use_up(service, user.email)
    assert (await service.sign_in(user.email, source=OWNER, device=known)).status_code == 429
    assert (await service.call("DELETE", "/users/me", token=user.access_token)).status_code == 204
    assert await service.rows("SELECT FROM known_devices WHERE account_id = $1", user.id) == []


async def test_an_attempt_that_was_refused_by_overload_does_not_count(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await service.new_user()

    async def overloaded(*_: Any) -> bool:
        raise Overloaded

    with monkeypatch.context() as overload:
        overload.setattr(PasswordHasher, "verify", overloaded)
        answers = [await service.sign_in(user.email, source=OWNER) for _ in range(12)]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
    assert (await service.sign_in(user.email, source=OWNER)).status_code == 200
