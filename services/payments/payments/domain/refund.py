"""A refund: money of a captured payment on its way back to the buyer."""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from payments.domain.payment import Change, EventType, Payment


class RefundState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    """The provider refused."""


@dataclass(frozen=True, slots=True)
class RefundKey:
    """The `Idempotency-Key` of a refund, and the administrator to whom it belongs."""

    requested_by: UUID
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund of a part of a payment, or of all of it."""

    id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    reason: str
    correlation_id: str
    traceparent: str | None
    actor: str | None = None
    state: RefundState = RefundState.PENDING
    code: str | None = None
    """Why the provider refused."""
    attempts: int = 0
    key: RefundKey | None = None
    """Present when an administrator requested the refund."""
    fingerprint: bytes | None = None
    """Of the administrator's request."""

    def complete(self, payment: Payment) -> "RefundChange":
        """The provider refunded the money. `payment` is the refund's payment as it is now."""
        self._check_pending(payment)
        done = replace(self, state=RefundState.DONE)
        return RefundChange(done, payment.complete_refund(self.amount_minor), EventType.REFUNDED)

    def fail(self, payment: Payment, code: str) -> "RefundChange":
        """The provider refused; `code` is its reason."""
        self._check_pending(payment)
        failed = replace(self, state=RefundState.FAILED, code=code)
        return RefundChange(failed, payment.fail_refund(self.amount_minor))

    def _check_pending(self, payment: Payment) -> None:
        assert self.state is RefundState.PENDING, "a refund ends once"
        assert self.payment_id == payment.id, "a refund changes its own payment"


@dataclass(frozen=True, slots=True)
class RefundChange:
    """The end of a refund and the change of its payment, which are written in one transaction."""

    refund: Refund
    payment: Change
    event: EventType | None = None
