"""The words of a query that are searched, and the parts of its compounds."""

import pytest

from catalog.domain.product_search import WORD_PARTS_MAX, searched_words, split_compounds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("key " * 50, "key " * (WORD_PARTS_MAX - 1) + "key"),
        ("k_" * 99 + "k", "k_" * (WORD_PARTS_MAX - 1) + "k"),
        ("a keyboard", "a keyboard"),
        (" \t", None),
        (None, None),
    ],
)
def test_a_search_uses_a_bounded_number_of_words(text: str | None, words: str | None) -> None:
    assert searched_words(text) == words


@pytest.mark.parametrize(
    ("query", "split"),
    [
        ("walnutt/rest", "walnutt rest"),
        ("left-handd -mouse", "left handd -mouse"),
        ("moouse -left-handed", 'moouse -"left handed"'),
        ("hubb -usb_c-3", 'hubb -"usb c 3"'),
        ('"left-handed mouse" -"usb-c"', '"left handed mouse" -"usb c"'),
    ],
)
def test_compounds_are_split(query: str, split: str) -> None:
    assert split_compounds(query) == split
