"""The events of other services that newservice consumes, with the data that it reads."""

from uuid import UUID

import msgspec


class UserDeleted(msgspec.Struct, frozen=True):
    """user.deleted."""

    user_id: UUID
