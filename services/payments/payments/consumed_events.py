"""The events that payments consumes, as far as it reads them. Unknown members are ignored."""

from uuid import UUID

import msgspec


class OrderEnded(msgspec.Struct, frozen=True):
    """What we need of `order.confirmed` and `order.cancelled`."""

    order_id: UUID


class UserDeleted(msgspec.Struct, frozen=True):
    """`user.deleted`."""

    user_id: UUID
