"""A session: one sign-in, extended by a family of refresh tokens of which only the newest is valid.

Refresh tokens and device tokens are 32 random bytes. The database holds only the SHA-256 of a token: at this entropy a
plain hash is as safe as a slow one, and a reader of the table can use none of its rows.
"""

import hashlib
import secrets
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal, TypeAlias
from uuid import UUID

from users.domain.account import Role

_TOKEN_BYTES = 32
SessionEnd: TypeAlias = Literal["signed_out", "refresh_token_reused"]


@dataclass(frozen=True, kw_only=True)
class Session:
    """The session, with the claims of its access tokens about the account."""

    id: UUID
    account_id: UUID
    account_version: int
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class SessionRevoked:
    """Revokes the access tokens of the session."""

    account_id: UUID
    session_id: UUID
    reason: SessionEnd


class TokenUse(Enum):
    """The outcome of a use of a refresh token."""

    ROTATED = auto()
    """The first use: the successor replaces the token."""
    REPEATED = auto()
    """The same request again: its transaction was committed, and only the answer to COMMIT was lost."""
    REUSED = auto()
    """A second use: the session ends."""
    INVALID = auto()
    """The token has expired, or its session has ended."""


@dataclass(frozen=True, kw_only=True)
class RefreshToken:
    session: Session
    successor_hash: bytes | None
    """Of the token that replaced this one."""
    is_expired: bool
    is_revoked: bool

    def use(self, successor_hash: bytes) -> tuple[TokenUse, list[SessionRevoked]]:
        """Exchange the token for the one with `successor_hash`."""
        if self.is_revoked or self.is_expired:
            return TokenUse.INVALID, []
        if self.successor_hash is None:
            return TokenUse.ROTATED, []
        if self.successor_hash == successor_hash:
            return TokenUse.REPEATED, []
        revoked = SessionRevoked(self.session.account_id, self.session.id, "refresh_token_reused")
        return TokenUse.REUSED, [revoked]


def new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """Of any text, also of one that is no token of this service: its hash is then unknown."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
