"""Accepts the e-mail address that a client sends for an account."""

from users.domain.account import canonical_email
from users.errors import InvalidEmail


def accept_email(text: str) -> str:
    """The canonical form. Raises `InvalidEmail`."""
    try:
        return canonical_email(text)
    except ValueError as error:
        raise InvalidEmail(str(error)) from None
