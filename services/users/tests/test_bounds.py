"""The input of an unknown client costs little work: each is bounded before it is normalised or hashed."""

import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from users.domain.account import EMAIL_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX
from users.http.tokens import FORM_BYTES_MAX

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKS = "\u0301\u0316" * 3_000
"""The canonical ordering of combining marks takes a time that grows with the square of their number."""
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def normalised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The length of each text that was normalised."""
    lengths: list[int] = []
    normalize = unicodedata.normalize

    def count(form: Any, text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", count)
    yield lengths
    assert max(lengths, default=0) <= max(EMAIL_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX)


@pytest.mark.parametrize(
    ("username", "password"),
    [(MARKS, "some password"), ("ada@example.com", MARKS), (f"ada@{MARKS}.example", MARKS), (MARKS * 2, "x")],
)
async def test_a_long_user_name_or_password_is_refused_before_it_is_normalised(
    service: Any, username: str, password: str
) -> None:
    form = urlencode({"grant_type": "password", "username": username[:1_300], "password": password[:1_300]})
    answer = await service.call("POST", "/auth/token", content=form, headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_grant")


@pytest.mark.parametrize("member", ["email", "name", "password"])
async def test_a_long_member_of_a_registration_is_refused_before_it_is_normalised(service: Any, member: str) -> None:
    body = {"email": "ada@example.com", "name": "Ada", "password": "some password"} | {member: MARKS}
    answer = await service.call("POST", "/users", json=body)
    assert answer.status_code == 422


async def test_a_form_with_thousands_of_parameters_is_not_parsed(service: Any) -> None:
    form = "&".join(f"{number:x}=1" for number in range(10_000))
    assert len(form) > FORM_BYTES_MAX
    answer = await service.call("POST", "/auth/token", content=form, headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_the_longest_form_that_can_sign_in_fits(service: Any) -> None:
    password = "\U0001f511" * PASSWORD_CHARACTERS_MAX
    email = "x" * 64 + "@" + ".".join(["y" * 60] * 3) + ".com"
    registered = await service.register(email, password=password)
    assert registered.status_code == 201, registered.text
    assert (await service.sign_in(email, password)).status_code == 200


async def test_an_over_long_refresh_token_is_refused(service: Any) -> None:
    answer = await service.refresh("x" * 600)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_grant")
