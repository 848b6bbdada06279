"""Passwords that a guesser tries first: the most common ones, and what the account itself tells.

NIST SP 800-63B-4, section 3.1.1.2, asks to refuse them. The list, `common_passwords.txt`, is made by
`make_common_passwords.py` from one that is in the library zxcvbn.
"""

import unicodedata
from pathlib import Path

_FILE = Path(__file__).with_name("common_passwords.txt")


def normalised(text: str) -> str:
    """The form in which passwords are compared here: without spaces, in one case, and in one form of each character."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


_COMMON = frozenset(_FILE.read_text().split())


def is_weak(password: str, *, email: str, name: str) -> bool:
    compared = normalised(password)
    return compared in _COMMON or compared in {normalised(word) for word in (email, email.partition("@")[0], name)}
