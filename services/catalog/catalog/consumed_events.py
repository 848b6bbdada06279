"""The events of other services that catalog consumes, with the data that it reads."""

from uuid import UUID

from msgspec import Struct


class OrderSettled(Struct, frozen=True):
    """The data of `order.confirmed` and `order.cancelled` that catalog reads."""

    order_id: UUID
