"""Which e-mail addresses and names are fit for an account. No I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from users.account import normalised_email, ordered_roles
from users.errors import InvalidEmail


@pytest.mark.parametrize(
    ("given_email", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM\t", "ada@example.com"),
        ("o'hara+shop@mail.example.co.uk", "o'hara+shop@mail.example.co.uk"),
        ("a@b.co", "a@b.co"),
        ("first.last@a-b.example", "first.last@a-b.example"),
        ("zoë@bücher.example", "zoë@bücher.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("zoe\u0308@example.com", "zoë@example.com"),
        ("x" * 64 + "@example.com", "x" * 64 + "@example.com"),
    ],
)
def test_an_address_is_kept_in_one_form(given_email: str, kept: str) -> None:
    assert normalised_email(given_email) == kept


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@localhost",
        "ada@@example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@exa_mple.com",
        "ada@example.com.",
        "ada@127.0.0.1",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada lovelace@example.com",
        "ada@example.com\nbcc: all@example.com",
        "ada@example.com,eve@example.com",
        "<ada@example.com>",
        '"ada"@example.com',
        "ada\x00@example.com",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 64 + ".com",
        "ada@" + "example." * 32 + "com",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidEmail):
        normalised_email(email)


@given(some.text(max_size=400) | some.emails())
def test_an_address_that_is_accepted_stays_the_same_when_it_is_given_again(email: str) -> None:
    try:
        kept = normalised_email(email)
    except InvalidEmail:
        return
    assert normalised_email(kept) == kept
    assert len(kept) <= 254


def test_roles_are_told_once_each_and_in_one_order() -> None:
    assert ordered_roles(["admin", "customer", "admin"]) == ("customer", "admin")
