"""Registration: once per address and per Idempotency-Key, and an invalid request changes nothing."""

import asyncio
import hashlib
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOUND = {"email": "grace@example.com", "name": "Grace", "password": "correct horse battery"}


async def accounts(service: Any) -> int:
    return int((await service.rows("SELECT count(*) FROM accounts"))[0][0])


async def test_a_taken_address_is_refused_in_each_spelling(service: Any) -> None:
    assert (await service.register("taken@example.com")).status_code == 201
    again = await service.register(" TAKEN@Example.com ", key="another request")
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert again.json()["code"] == "email_taken"


async def test_of_concurrent_registrations_of_one_address_one_wins(service: Any) -> None:
    before = await accounts(service)
    answers = await asyncio.gather(*(service.register("race@example.com") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert await accounts(service) == before + 1


async def test_a_repeated_request_gets_the_first_answer_also_after_a_change(service: Any) -> None:
    first = await service.register("again@example.com", "Ada", key="key 1")
    token = (await service.sign_in("again@example.com")).json()["access_token"]
    await service.call("PATCH", "/users/me", token=token, json={"name": "Countess", "email": "moved@example.com"})
    again = await service.register("again@example.com", "Ada", key="key 1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert [type_ for type_, _ in await service.events_of(first.json()["id"])] == ["user.registered", "user.updated"]


async def test_concurrent_repetitions_of_a_request_make_one_account(service: Any) -> None:
    before = await accounts(service)
    answers = await asyncio.gather(*(service.register("eager@example.com", key="key 2") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert await accounts(service) == before + 1


async def test_a_key_used_again_with_another_body_is_refused(service: Any) -> None:
    assert (await service.register("first@example.com", "Ada", key="key for another name")).status_code == 201
    before = await accounts(service)
    again = await service.register("first@example.com", "Eve", key="key for another name")
    assert (again.status_code, again.json()["code"]) == (422, "key_used_again")
    assert await accounts(service) == before


async def test_a_key_belongs_to_the_address_that_it_registers(service: Any) -> None:
    first = await service.register("mine@example.com", key="1")
    other = await service.register("theirs@example.com", key="1")
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]
    assert (await service.register("mine@example.com", key="1")).json() == first.json()


async def test_a_repetition_reveals_nothing_about_the_password(service: Any) -> None:
    first = await service.register("oracle@example.com", password="the right password", key="key 6")
    right = await service.register("oracle@example.com", password="the right password", key="key 6")
    wrong = await service.register("oracle@example.com", password="a wrong password", key="key 6")
    assert (right.status_code, right.json(), dict(right.headers) | {"x-request-id": ""}) == (
        wrong.status_code,
        wrong.json(),
        dict(wrong.headers) | {"x-request-id": ""},
    )
    assert right.json() == first.json()
    assert (await service.sign_in("oracle@example.com", "a wrong password")).status_code == 400
    # Without the key the address is taken, whatever the password.
    for password in ("the right password", "a wrong password"):
        answer = await service.register("oracle@example.com", password=password, key="a guess")
        assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_a_late_repetition_does_not_bring_a_deleted_account_back(service: Any) -> None:
    assert (await service.register("gone@example.com", key="key 3")).status_code == 201
    token = (await service.sign_in("gone@example.com")).json()["access_token"]
    assert (await service.call("DELETE", "/users/me", token=token)).status_code == 204
    assert (await service.register("gone@example.com", key="key 3")).json()["code"] == "key_used_again"
    assert (await service.register("gone@example.com", key="key 4")).status_code == 201


async def test_no_fast_hash_of_a_password_is_stored(service: Any) -> None:
    await service.register("secret@example.com", password="a very secret password", key="key 5")
    stored = ""
    for table in ("accounts", "journal", "sign_in_attempts", "sessions", "refresh_tokens"):
        stored += "".join(row[0] for row in await service.rows(f"SELECT t::text FROM {table} AS t"))
    assert "a very secret password" not in stored
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert hashlib.new(name, b"a very secret password").hexdigest() not in stored
    # The fingerprint does not depend on the password.
    rows = await service.rows("SELECT fingerprint FROM accounts WHERE email = 'secret@example.com'")
    assert rows[0][0] == hashlib.sha256(b'{"email":"secret@example.com","name":"Ada"}').digest()


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_is_empty_or_over_long_is_refused(service: Any, key: str) -> None:
    answer = await service.call("POST", "/users", json=SOUND, headers={"idempotency-key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


UNACCEPTABLE: list[tuple[str, dict[str, Any]]] = [
    *((f"{field} {value!r}", {**SOUND, field: value}) for field in SOUND for value in (None, 1, True, [], {}, "")),
    *((f"no {field}", {name: value for name, value in SOUND.items() if name != field}) for field in SOUND),
    *((f"unknown {field}", {**SOUND, field: "x"}) for field in ("id", "role", "roles", "status", "user_id")),
    ("no address", {**SOUND, "email": "grace"}),
    ("an over-long address", {**SOUND, "email": "x" * 400 + "@example.com"}),
    ("an address with a line break", {**SOUND, "email": "grace@example.com\r\nbcc: all@example.com"}),
    ("an over-long name", {**SOUND, "name": "x" * 201}),
    ("a blank name", {**SOUND, "name": "   "}),
    ("a line break in the name", {**SOUND, "name": "Grace\nHopper"}),
    ("an override of the direction in the name", {**SOUND, "name": "Grace\u202eecarG"}),
    ("an isolate of the direction in the name", {**SOUND, "name": "Grace\u2067"}),
    ("a separator of paragraphs in the name", {**SOUND, "name": "Grace\u2029Hopper"}),
    ("a line break after the name", {**SOUND, "name": "Grace\n"}),
    ("an invisible name", {**SOUND, "name": "\u2800\u3164\u200b"}),
    ("hidden tags in the name", {**SOUND, "name": "Grace\U000e0041"}),
    ("a pile of combining marks", {**SOUND, "name": "Grace" + "\u0316" * 50}),
    ("U+0000 in the name", {**SOUND, "name": "Gr\x00ce"}),
    ("U+0000 in the password", {**SOUND, "password": "correct\x00horse"}),
    ("a short password", {**SOUND, "password": "7 chars"}),
    ("an over-long password", {**SOUND, "password": "x" * 257}),
]


@pytest.mark.parametrize("body", [body for _, body in UNACCEPTABLE], ids=[name for name, _ in UNACCEPTABLE])
async def test_a_body_with_an_unacceptable_value_has_no_effect(service: Any, body: dict[str, Any]) -> None:
    before = await accounts(service)
    answer = await service.call("POST", "/users", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert await accounts(service) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"email": "grace@example.com"', 400),
        (b'{"email": NaN, "name": "Grace", "password": "correct horse"}', 400),
        (b'{"email": Infinity}', 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": "Grace", "name": "Eve", "email": "grace@example.com", "password": "correct horse"}', 400),
        (b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        (b'{"name": "\\ud800", "email": "grace@example.com", "password": "correct horse"}', 400),
        (b"[]", 422),
        (b'"text"', 422),
        (b"null", 422),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_a_malformed_body_has_no_effect(service: Any, body: bytes, status: int) -> None:
    before = await accounts(service)
    headers = {"content-type": "application/json"}
    answer = await service.call("POST", "/users", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert await accounts(service) == before


async def test_another_type_of_body_is_refused(service: Any) -> None:
    answer = await service.call("POST", "/users", data=SOUND)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")
