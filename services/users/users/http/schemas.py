"""The bodies of requests and responses."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from chassis.values.visible_text import NAME_CHARACTERS_MAX
from users.domain.account import EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, Account, Preferences, Role

# Spaces around an address or a name are forgiven, so the outer bounds leave some room for them.
Email = Annotated[str, msgspec.Meta(min_length=3, max_length=EMAIL_LENGTH_MAX + 64, examples=["ada@example.com"])]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["Ada Lovelace"])]
Password = Annotated[str, msgspec.Meta(min_length=PASSWORD_LENGTH_MIN, max_length=PASSWORD_LENGTH_MAX)]


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    name: Name
    password: Password


class Registered(msgspec.Struct):
    id: UUID
    email: str
    name: str
    created_at: datetime


class Profile(msgspec.Struct):
    """What a person, or an administrator, reads of an account."""

    id: UUID
    email: str
    name: str
    roles: list[Role]
    preferences: Preferences
    created_at: datetime


class ProfileChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    email: Email | msgspec.UnsetType = msgspec.UNSET
    name: Name | msgspec.UnsetType = msgspec.UNSET


class NewPreferences(msgspec.Struct, forbid_unknown_fields=True):
    order_emails: bool
    payment_emails: bool


class NewRoles(msgspec.Struct, forbid_unknown_fields=True):
    """`customer` is always among them: everybody is one."""

    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=2)]


class TokenForm(msgspec.Struct):
    """The OAuth 2 form (RFC 6749, sections 4.3.2 and 6). Parameters that are not known are ignored, as it demands."""

    grant_type: str | None = None
    username: str | None = None
    """The e-mail address, for grant_type password."""
    password: str | None = None
    refresh_token: str | None = None
    """For grant_type refresh_token."""
    device_token: str | None = None
    """For grant_type password: what an earlier sign-in answered. A browser sends it in a cookie instead."""


class Tokens(msgspec.Struct):
    """What the token endpoint answers (RFC 6749, section 5.1). `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105
    device_token: str | msgspec.UnsetType = msgspec.UNSET
    """After a sign-in: proof that this device knew the password. Send it with the next sign-in."""


class SignOut(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class PublicKey(msgspec.Struct):
    """A JWK (RFC 7517): the public half of a signing key, on the curve P-256."""

    kid: str
    x: str
    y: str
    kty: str = "EC"
    crv: str = "P-256"
    use: str = "sig"
    alg: str = "ES256"


class PublicKeys(msgspec.Struct):
    """A JWKS (RFC 7517, section 5)."""

    keys: list[PublicKey]


class NextKey(msgspec.Struct):
    """The key that is published already and signs from `signs_from` on."""

    kid: str
    signs_from: datetime


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    ids: Annotated[list[UUID], msgspec.Meta(max_length=256)]


class FoundUser(msgspec.Struct):
    id: UUID
    email: str
    name: str
    preferences: Preferences
    version: int


class FoundUsers(msgspec.Struct):
    """Those of the users asked for that there are, in the order of the asking."""

    items: list[FoundUser]


def profile_of(account: Account) -> Profile:
    return Profile(
        id=account.id,
        email=account.email,
        name=account.name,
        roles=list(account.roles),
        preferences=account.preferences,
        created_at=account.created_at,
    )


def found(account: Account) -> FoundUser:
    return FoundUser(
        id=account.id,
        email=account.email,
        name=account.name,
        preferences=account.preferences,
        version=account.version,
    )
