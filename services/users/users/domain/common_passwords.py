"""Weak passwords: the most common ones, and the account's own address and name.

NIST SP 800-63B-4, section 3.1.1.2, requires to refuse them. The list, `common_passwords.txt`, is written by
`make_common_passwords.py` from a list of the library zxcvbn.
"""

import unicodedata
from pathlib import Path

_FILE = Path(__file__).with_name("common_passwords.txt")


def normalise(text: str) -> str:
    """The form in which passwords are compared here: without spaces, in one case and one form of each character."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


_COMMON = frozenset(_FILE.read_text().split())


def is_weak(password: str, *, email: str, name: str) -> bool:
    compared = normalise(password)
    return compared in _COMMON or compared in {normalise(word) for word in (email, email.partition("@")[0], name)}
