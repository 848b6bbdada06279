"""A request that creates something: repeated by its client under the same key, it creates nothing a second time.

The same holds when the database repeats a transaction whose COMMIT was not answered: the id is made before the first
try, and finding it means that the try had worked.
"""

from typing import Self
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis.problems import KeyUsedAgain
from chassis.web.idempotency import accepted_key, fingerprint


class Creation(msgspec.Struct, frozen=True):
    """Under which id something is to be made, by whom, under which Idempotency-Key and from which request."""

    id: UUID
    created_by: UUID | None
    key: str | None
    fingerprint: bytes

    @classmethod
    def of(cls, request: msgspec.Struct, created_by: UUID | None, key: str | None) -> Self:
        """Raises `Malformed` for a key that cannot be accepted."""
        return cls(uuid7(), created_by, accepted_key(key), fingerprint(request))

    def is_told_by(self, found: "Creation | None") -> bool:
        """Whether `found`, made earlier, is the answer. Raises `KeyUsedAgain` when it was another request's."""
        if found is None:
            return False
        if found.id != self.id and found.fingerprint != self.fingerprint:
            raise KeyUsedAgain
        return True
