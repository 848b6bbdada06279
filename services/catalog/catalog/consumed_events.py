"""What catalog reads of the events of other services."""

from uuid import UUID

from msgspec import Struct


class OrderSettled(Struct, frozen=True):
    """What catalog reads of `order.confirmed` and `order.cancelled`."""

    order_id: UUID
