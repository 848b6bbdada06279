"""The events that payments consumes, reduced to the members that it reads. Unknown members are ignored."""

from uuid import UUID

import msgspec


class OrderEvent(msgspec.Struct, frozen=True):
    """`order.confirmed` and `order.cancelled`."""

    order_id: UUID


class UserDeleted(msgspec.Struct, frozen=True):
    """`user.deleted`."""

    user_id: UUID
