"""An account: what it holds, and which e-mail addresses are fit for one."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from users.errors import InvalidEmail

Role: TypeAlias = Literal["customer", "admin"]
CUSTOMER: tuple[Role, ...] = ("customer",)
ADMINISTRATOR: tuple[Role, ...] = ("customer", "admin")

EMAIL_LENGTH_MAX = 254
EMAIL_LOCAL_LENGTH_MAX = 64
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 128

# A dot-atom before a host name of at least two labels (RFC 5322), letters of all scripts included (RFC 6531). Quoted
# local parts and bare host names are legal too, but in a form they are mistakes.
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_LABEL = r"[^\W_](?:[^\W_]|-(?=[\w-]*[^\W_])){0,62}"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?=[^\W\d_]){_LABEL}")


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """Which mails the person wants."""

    order_emails: bool
    payment_emails: bool


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A person's account. `version` goes up by one with each change, so that others can tell old news from new."""

    id: UUID
    email: str
    name: str
    roles: tuple[Role, ...]
    preferences: Preferences
    version: int
    created_at: datetime

    @property
    def is_administrator(self) -> bool:
        return "admin" in self.roles


def normalised_email(given: str) -> str:
    """The one form under which an address is kept and compared: trimmed and in lower case.

    Strictly the part before the @ could mind its case; no provider's does, and two accounts that look the same would
    confuse everybody. Raises `InvalidEmail`.
    """
    email = given.strip()
    if len(email) > EMAIL_LENGTH_MAX:
        raise InvalidEmail
    email = unicodedata.normalize("NFC", email).lower()
    local = email.partition("@")[0]
    if len(email) > EMAIL_LENGTH_MAX or len(local) > EMAIL_LOCAL_LENGTH_MAX or not _EMAIL.fullmatch(email):
        raise InvalidEmail
    return email


def ordered_roles(given: Sequence[Role]) -> tuple[Role, ...]:
    """Each role once, in the order in which they are always told."""
    return tuple(role for role in ADMINISTRATOR if role in given)
