"""Writes users/domain/common_passwords.txt. Run it when `test_common_passwords.py` fails after an upgrade of zxcvbn:

    python services/users/make_common_passwords.py

The source is zxcvbn's list of the 30,000 most common passwords of published leaks. Passwords that are too short for an
account are left out.
"""

from pathlib import Path

from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

from users.domain.account import PASSWORD_CHARACTERS_MIN
from users.domain.common_passwords import normalise

FILE = Path(__file__).parent / "users" / "domain" / "common_passwords.txt"


def common_passwords() -> str:
    """One a line, in order."""
    words = {normalise(word) for word in FREQUENCY_LISTS["passwords"]}
    return "".join(f"{word}\n" for word in sorted(words) if len(word) >= PASSWORD_CHARACTERS_MIN)


if __name__ == "__main__":
    FILE.write_text(common_passwords())
