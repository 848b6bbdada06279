"""The bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from chassis.values.visible_text import NAME_CHARACTERS_MAX
from users.domain.account import EMAIL_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN, Account, Role
from users.domain.signing_key import SigningKey
from users.register_account import RegisteredAccount

# Surrounding spaces are trimmed, so the outer bound leaves room for them.
Email = Annotated[str, msgspec.Meta(min_length=3, max_length=EMAIL_CHARACTERS_MAX + 64, examples=["ada@example.com"])]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["Ada Lovelace"])]
Password = Annotated[str, msgspec.Meta(min_length=PASSWORD_CHARACTERS_MIN, max_length=PASSWORD_CHARACTERS_MAX)]


class Registration(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    name: Name
    password: Password


class Registered(msgspec.Struct):
    id: UUID
    email: str
    name: str
    created_at: datetime

    @classmethod
    def of(cls, account: RegisteredAccount) -> "Registered":
        return cls(id=account.id, email=account.email, name=account.name, created_at=account.created_at)


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """Which mails the user receives."""

    order_emails: bool
    payment_emails: bool

    @classmethod
    def of(cls, account: Account) -> "Preferences":
        preferences = account.preferences
        return cls(order_emails=preferences.order_emails, payment_emails=preferences.payment_emails)


class Profile(msgspec.Struct):
    """An account, for its user and for administrators."""

    id: UUID
    email: str
    name: str
    roles: list[Role]
    preferences: Preferences
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "Profile":
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            roles=list(account.roles),
            preferences=Preferences.of(account),
            created_at=account.created_at,
        )


class ProfileChange(msgspec.Struct, forbid_unknown_fields=True):
    """An omitted member does not change."""

    email: Email | msgspec.UnsetType = msgspec.UNSET
    name: Name | msgspec.UnsetType = msgspec.UNSET


class NewPreferences(msgspec.Struct, forbid_unknown_fields=True):
    order_emails: bool
    payment_emails: bool


class NewRoles(msgspec.Struct, forbid_unknown_fields=True):
    """`customer` is required: every user has this role."""

    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=2)]


class TokenForm(msgspec.Struct):
    """The OAuth 2 form (RFC 6749, sections 4.3.2 and 6). The RFC requires to ignore unknown parameters."""

    grant_type: str | None = None
    username: str | None = None
    """The e-mail address, for grant_type password."""
    password: str | None = None
    refresh_token: str | None = None
    """For grant_type refresh_token."""
    device_token: str | None = None
    """For grant_type password: from an earlier sign-in. A browser sends it in a cookie instead."""


class Tokens(msgspec.Struct):
    """The answer of the token endpoint (RFC 6749, section 5.1). `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105
    device_token: str | msgspec.UnsetType = msgspec.UNSET
    """After a sign-in: proof that this device knew the password. Send it with the next sign-in."""


class SignOut(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]


class PublicKey(msgspec.Struct):
    """A JWK (RFC 7517): the public key of a signing key, on the curve P-256."""

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

    @classmethod
    def of(cls, jwks: dict[str, Any]) -> "PublicKeys":
        return msgspec.convert(jwks, cls)


class NextKey(msgspec.Struct):
    """The newest key: it is published, and signs from `signs_from`."""

    kid: str
    signs_from: datetime

    @classmethod
    def of(cls, key: SigningKey) -> "NextKey":
        return cls(kid=key.key_id, signs_from=key.signs_from)


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    ids: Annotated[list[UUID], msgspec.Meta(max_length=256)]


class FoundUser(msgspec.Struct):
    id: UUID
    email: str
    name: str
    preferences: Preferences
    version: int

    @classmethod
    def of(cls, account: Account) -> "FoundUser":
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            preferences=Preferences.of(account),
            version=account.version,
        )


class FoundUsers(msgspec.Struct):
    """Those of the requested users that exist, in the order of the request."""

    items: list[FoundUser]
