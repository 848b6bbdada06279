"""A request that creates a thing, and the id of that thing. A repeated request finds the thing and creates no other.

A client repeats a request under the same Idempotency-Key. The database layer repeats a transaction whose COMMIT got no
answer: the id is made before the first attempt, so a later attempt that finds it knows that the first one has worked.
"""

from typing import Self
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis.web.idempotency import accepted_key, check_same_request, fingerprint


class Creation(msgspec.Struct, frozen=True):
    """The id of the new thing, its creator, and the Idempotency-Key and the fingerprint of the request."""

    id: UUID
    created_by: UUID | None
    key: str | None
    fingerprint: bytes

    @classmethod
    def of(cls, request: msgspec.Struct, created_by: UUID | None, key: str | None) -> Self:
        """Raises `Malformed` for a key that cannot be accepted."""
        return cls(uuid7(), created_by, accepted_key(key), fingerprint(request))

    @classmethod
    def without_request(cls, *, id_: UUID | None = None, created_by: UUID | None = None) -> Self:
        """A creation that no client requests by itself, such as a part of another one."""
        return cls(id_ or uuid7(), created_by, None, b"")

    def repeats(self, found: "Creation | None") -> bool:
        """Whether `found` was created by this request before. Raises `KeyUsedAgain` if another request created it."""
        if found is None:
            return False
        if found.id != self.id:
            check_same_request(found.fingerprint, self.fingerprint)
        return True
