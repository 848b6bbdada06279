"""An account: what it holds, and which e-mail addresses are fit for one."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from chassis.values import email_address
from users.errors import InvalidEmail

Role: TypeAlias = Literal["customer", "admin"]
CUSTOMER: tuple[Role, ...] = ("customer",)
ADMINISTRATOR: tuple[Role, ...] = ("customer", "admin")

EMAIL_LENGTH_MAX = email_address.CHARACTERS_MAX
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 128


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
    """The one form under which an address is kept and compared: trimmed, in lower case, its domain in Unicode.

    Strictly the part before the @ could mind its case; no provider's does, and two accounts that look the same would
    confuse everybody. Raises `InvalidEmail`.
    """
    try:
        return str(email_address.parse(given.strip().lower()))
    except ValueError as error:
        raise InvalidEmail(str(error)) from None


def spellings(given: str) -> tuple[str, ...]:
    """Under which forms an account with this address may be kept: that of earlier releases, then today's.

    The former is another one for a few addresses beyond ASCII, and stays where today's is another account's (see
    `canonicalise_addresses`), or is refused by today's rules. Empty for what is too long to be an address.
    """
    address = given.strip()
    if len(address) > EMAIL_LENGTH_MAX:
        return ()
    former = unicodedata.normalize("NFC", address).lower()
    forms = [former] if former.isprintable() else []
    try:
        return tuple(dict.fromkeys([*forms, normalised_email(given)]))
    except InvalidEmail:
        return tuple(forms)


def ordered_roles(given: Sequence[Role]) -> tuple[Role, ...]:
    """Each role once, in the order in which they are always told."""
    return tuple(role for role in ADMINISTRATOR if role in given)
