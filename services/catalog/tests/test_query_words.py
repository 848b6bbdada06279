"""What of a query is looked for, and how it is taken apart."""

import pytest

from catalog.domain.product_search import PARTS_MAX, taken_apart, words_in


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("key " * 50, "key " * (PARTS_MAX - 1) + "key"),
        ("k_" * 99 + "k", "k_" * (PARTS_MAX - 1) + "k"),
        ("a keyboard", "a keyboard"),
        (" \t", None),
        (None, None),
    ],
)
def test_so_many_words_are_looked_for_and_no_more(asked: str | None, words: str | None) -> None:
    assert words_in(asked) == words


@pytest.mark.parametrize(
    ("query", "apart"),
    [
        ("walnutt/rest", "walnutt rest"),
        ("left-handd -mouse", "left handd -mouse"),
        ("moouse -left-handed", 'moouse -"left handed"'),
        ("hubb -usb_c-3", 'hubb -"usb c 3"'),
        ('"left-handed mouse" -"usb-c"', '"left handed mouse" -"usb c"'),
    ],
)
def test_what_is_joined_is_taken_apart(query: str, apart: str) -> None:
    assert taken_apart(query) == apart
