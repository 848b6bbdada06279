"""The port of payment providers: what every provider has to do, independent of its API.

Each operation takes a list and returns one answer for each item, in order, so that a provider with batch calls can use
them. Each operation is idempotent by an id of ours: that of the payment, or that of the refund. When a call raises or
times out, the outcome of its whole list is unknown (`clients/provider_client.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """An amount to be held on the payment method behind `token`."""

    payment_id: UUID
    token: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """An authorized payment to be captured, always in full."""

    payment_id: UUID
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """An amount to be refunded from a captured payment."""

    refund_id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The operation took effect, by this call or by an earlier one."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The operation had no effect, and a retry will not change that."""

    code: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """The operation had no effect, and a retry may succeed."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The operation may have taken effect or not. It is never treated as either."""


Answer: TypeAlias = Approved | Declined | NotDone | Unknown


class ProviderState(StrEnum):
    """The state of a payment at the provider. The values are also those of the sandbox's tables."""

    NOT_RECEIVED = "unheard"
    """The provider knows no such payment."""
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    VOIDED = "voided"
    CAPTURED = "captured"


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A payment as the provider has it."""

    state: ProviderState
    code: str | None = None
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """The part of a payment method that may be displayed."""

    brand: str
    last4: str


class PaymentProvider(Protocol):
    """The contract. `tests/test_payments_provider_contract.py` tests every implementation against it."""

    async def describe(self, token: str) -> Card | None:
        """The card behind `token`; None when the provider does not know the token."""

    async def authorize(self, requests: Sequence[AuthorizationRequest]) -> Sequence[Answer]:
        """Hold the money. Declined with code `voided` when a void came first."""

    async def capture(self, requests: Sequence[CaptureRequest]) -> Sequence[Answer]:
        """Capture held money. Declined when none is held."""

    async def void(self, payment_ids: Sequence[UUID]) -> Sequence[Answer]:
        """Release held money, and decline an authorization that arrives later. Approved when no money is held
        afterwards; declined with code `captured` when it was captured before."""

    async def refund(self, requests: Sequence[RefundRequest]) -> Sequence[Answer]:
        """Refund captured money. Declined when the refunds would exceed the captured amount."""

    async def lookup(self, payment_ids: Sequence[UUID]) -> Sequence[ProviderStatus | Unknown]:
        """The status of these payments. Changes nothing."""
