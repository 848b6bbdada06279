"""Groups of three letters, by which a search finds what was misspelt: "keybord" has six of its eight in "keyboard".

The rules are those of PostgreSQL's pg_trgm, which the embedded PostgreSQL does not have: docs/decisions/0005.
"""

import re

SIMILARITY_MIN = 0.5
"""The share of a query's trigrams that a product has to have, to count as meant."""
_WORD = re.compile(r"[^\W_]+")


def trigrams_of(text: str) -> list[str]:
    """The distinct trigrams of the words in `text`, sorted. A word counts with two blanks before it and one after."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower()):
        padded = f"  {word} "
        found.update(padded[at : at + 3] for at in range(len(padded) - 2))
    return sorted(found)
