"""An account: its data, its transitions, and the one form of an e-mail address.

A transition checks the state and returns the new account with its domain events. A change that changes nothing keeps
the version and has no event.
"""

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from chassis.values import email_address

Role: TypeAlias = Literal["customer", "admin"]
CUSTOMER: tuple[Role, ...] = ("customer",)
ADMINISTRATOR: tuple[Role, ...] = ("customer", "admin")

EMAIL_CHARACTERS_MAX = email_address.CHARACTERS_MAX
PASSWORD_CHARACTERS_MIN = 8
PASSWORD_CHARACTERS_MAX = 128


class NoAdministratorLeft(Exception):
    """The transition would leave the service without an administrator."""


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """Which mails the user receives."""

    order_emails: bool
    payment_emails: bool


@dataclass(frozen=True)
class AccountRegistered:
    account: "Account"


@dataclass(frozen=True)
class AccountUpdated:
    account: "Account"


@dataclass(frozen=True)
class RolesChanged:
    """Revokes the access tokens of earlier versions of the account."""

    account: "Account"


@dataclass(frozen=True)
class AccountDeleted:
    account_id: UUID
    version: int


AccountEvent: TypeAlias = AccountRegistered | AccountUpdated | RolesChanged | AccountDeleted
Transition: TypeAlias = tuple["Account", list[AccountEvent]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """`version` increases by one with each change, so that consumers recognise an outdated event."""

    id: UUID
    email: str
    name: str
    roles: tuple[Role, ...]
    preferences: Preferences
    version: int
    created_at: datetime

    @classmethod
    def register(
        cls, *, account_id: UUID, email: str, name: str, roles: tuple[Role, ...], created_at: datetime
    ) -> Transition:
        account = cls(
            id=account_id,
            email=email,
            name=name,
            roles=roles,
            preferences=Preferences(order_emails=True, payment_emails=True),
            version=1,
            created_at=created_at,
        )
        return account, [AccountRegistered(account)]

    def change_profile(self, *, email: str | None = None, name: str | None = None) -> Transition:
        """Change what is given. `email` is in its canonical form."""
        return self._update(replace(self, email=email or self.email, name=name or self.name))

    def set_preferences(self, preferences: Preferences) -> Transition:
        return self._update(replace(self, preferences=preferences))

    def set_roles(self, roles: tuple[Role, ...], *, administrators: Collection[UUID]) -> Transition:
        """`administrators` are the ids of all administrators. Raises `NoAdministratorLeft`."""
        if "admin" not in roles and set(administrators) == {self.id}:
            raise NoAdministratorLeft
        changed = self._next_version(replace(self, roles=roles))
        return changed, [] if changed == self else [RolesChanged(changed)]

    def delete(self, *, administrators: Collection[UUID]) -> AccountDeleted:
        """The only trace of the account is this event. Raises `NoAdministratorLeft`."""
        if set(administrators) == {self.id}:
            raise NoAdministratorLeft
        return AccountDeleted(self.id, self.version + 1)

    def _update(self, changed: "Account") -> Transition:
        changed = self._next_version(changed)
        return changed, [] if changed == self else [AccountUpdated(changed)]

    def _next_version(self, changed: "Account") -> "Account":
        return self if changed == self else replace(changed, version=self.version + 1)


def canonical_email(text: str) -> str:
    """The one form in which an address is stored and compared: trimmed, in lower case, its domain in Unicode.

    By RFC 5321 the part before the @ may be case-sensitive. No provider treats it so, and two accounts that differ in
    case alone would confuse their users. Raises `ValueError`, with a message for the user.
    """
    return str(email_address.parse(text.strip().lower()))


def stored_email_forms(text: str) -> tuple[str, ...]:
    """The forms in which an account with this address may be stored: that of earlier releases, then the canonical one.

    They differ for a few addresses beyond ASCII. Such an account keeps the earlier form when the canonical one belongs
    to another account (`workers.address_canonicaliser`), or when today's rules refuse the address. A text that is too
    long for an address has no form.
    """
    address = text.strip()
    if len(address) > EMAIL_CHARACTERS_MAX:
        return ()
    earlier = unicodedata.normalize("NFC", address).lower()
    forms = [earlier] if earlier.isprintable() else []
    try:
        return tuple(dict.fromkeys([*forms, canonical_email(text)]))
    except ValueError:
        return tuple(forms)


def ordered_roles(roles: Sequence[Role]) -> tuple[Role, ...]:
    """Each role once, in the order of `ADMINISTRATOR`."""
    return tuple(role for role in ADMINISTRATOR if role in roles)
