"""Common passwords are refused in each spelling, and the list is that of the library zxcvbn."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from users.domain.common_passwords import is_weak

SCRIPT = Path(__file__).parents[1] / "make_common_passwords.py"
on_one_service = pytest.mark.asyncio(loop_scope="module")


def weak(password: str) -> bool:
    return is_weak(password, email="ada.king@example.com", name="Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    ["password", "PassWord", "pass word", "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "12345678", " 1qaz2wsx "],
)
def test_a_common_password_is_weak_in_each_spelling(password: str) -> None:
    assert weak(password)


@pytest.mark.parametrize("password", ["ada.king@example.com", "ADA.KING", "ada lovelace", "AdaLovelace"])
def test_the_address_and_the_name_of_the_account_are_weak(password: str) -> None:
    assert weak(password)


@pytest.mark.parametrize("password", ["correct horse battery", "ada lovelace 1815", "Zzyzx Road 4"])
def test_another_password_is_not_weak(password: str) -> None:
    assert not weak(password)


def test_the_list_is_that_of_the_library() -> None:
    script = runpy.run_path(str(SCRIPT))
    made = script["common_passwords"]()
    assert script["FILE"].read_text() == made, "run: python services/users/make_common_passwords.py"
    assert len(made.split()) > 10_000


@on_one_service
@pytest.mark.parametrize(
    ("password", "status", "code"),
    [
        ("password", 422, "weak_password"),
        ("12345678", 422, "weak_password"),
        ("x7" * 64, 201, None),
        ("x7" * 64 + "x", 422, "invalid"),
    ],
)
async def test_a_registration_with_a_weak_or_over_long_password_is_refused(
    service: Any, password: str, status: int, code: str | None
) -> None:
    answer = await service.register(password=password)
    assert (answer.status_code, answer.json().get("code")) == (status, code)
