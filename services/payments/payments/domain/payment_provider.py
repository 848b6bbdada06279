"""What a payment provider has to do for us, whichever it is.

Every operation takes a list, so that a provider that can do many at once may, and answers one for one, in order.
Every operation is idempotent by the id that we give: the payment's, or the refund's. What a call raises, or does not
answer in time, is unknown for its whole list (`provider_calls`).
"""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Money to be authorized, or captured in full once it is."""

    payment_id: UUID
    token: str
    amount_minor: int
    currency: str


class GiveBack(msgspec.Struct, frozen=True, kw_only=True):
    """Money to be refunded out of a captured payment."""

    refund_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str


class Approved(msgspec.Struct, frozen=True):
    """It is done, now or by an earlier call."""


class Declined(msgspec.Struct, frozen=True):
    """It is not done, and asking again will not help."""

    code: str


class NotDone(msgspec.Struct, frozen=True):
    """It is definitely not done, and asking again may help."""


class Unknown(msgspec.Struct, frozen=True):
    """It may be done or not. Never to be treated as either."""


Answer: TypeAlias = Approved | Declined | NotDone | Unknown


class Standing(msgspec.Struct, frozen=True):
    """What the provider's own record says about a payment."""

    state: Literal["unheard", "authorized", "declined", "voided", "captured"]
    code: str | None = None
    refunded_minor: int = 0


class Card(msgspec.Struct, frozen=True):
    """What may be shown of a payment method."""

    brand: str
    last4: str


class Provider(Protocol):
    """The contract. `tests/test_payments_provider_contract.py` holds every implementation to it."""

    async def describe(self, token: str) -> Card | None:
        """The card behind `token`; None when the provider knows none."""

    async def authorize(self, holds: Sequence[Hold]) -> Sequence[Answer]:
        """Hold the money. Declined with code `voided` when a void came first."""

    async def capture(self, holds: Sequence[Hold]) -> Sequence[Answer]:
        """Take what is held. Declined when nothing is."""

    async def void(self, payment_ids: Sequence[UUID]) -> Sequence[Answer]:
        """Let go of what is held, and refuse a late authorization. Approved whenever nothing is held afterwards;
        declined with code `captured` when the money was taken already."""

    async def refund(self, refunds: Sequence[GiveBack]) -> Sequence[Answer]:
        """Give back. Declined when that were more than was taken."""

    async def lookup(self, payment_ids: Sequence[UUID]) -> Sequence[Standing | Unknown]:
        """What became of these payments. Changes nothing."""
