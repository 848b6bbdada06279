"""Writes users/common_passwords.txt: `python services/users/make_common_passwords.py`. A test says when that is due.

The list is zxcvbn's, which is of the 30,000 most common passwords of published leaks. Those that are too short for an
account here are left out.
"""

from pathlib import Path

from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

from users.account import PASSWORD_LENGTH_MIN
from users.common_passwords import normalised

FILE = Path(__file__).parent / "users" / "common_passwords.txt"


def common_passwords() -> str:
    """One a line, in order."""
    words = {normalised(word) for word in FREQUENCY_LISTS["passwords"]}
    return "".join(f"{word}\n" for word in sorted(words) if len(word) >= PASSWORD_LENGTH_MIN)


if __name__ == "__main__":
    FILE.write_text(common_passwords())
