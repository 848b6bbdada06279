"""A session: one sign-in, kept alive by a family of refresh tokens of which only the newest is good.

A refresh token is 32 random bytes. Stored is its SHA-256: with so much chance in the token a plain hash is as good as a
slow one, and whoever reads the table can use nothing that is in it.
"""

import hashlib
import secrets
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from users.domain.account import Role

_TOKEN_BYTES = 32
SessionEnd: TypeAlias = Literal["signed_out", "refresh_token_reused"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it is, and what its access tokens say of the account."""

    id: UUID
    account_id: UUID
    account_version: int
    roles: tuple[Role, ...]


def new_refresh_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_of(refresh_token: str) -> bytes:
    # Whatever stands in the form: also what is no text of ours has a hash, which is then not known.
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()
