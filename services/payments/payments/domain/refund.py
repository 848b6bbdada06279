"""A refund: money of a captured payment on its way back to the buyer."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RefundKey:
    """The `Idempotency-Key` of a refund, and the administrator to whom it belongs."""

    requested_by: UUID
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money on its way back: `pending`, then `done`, or `failed` when the provider will not."""

    id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    reason: str
    correlation_id: str
    traceparent: str | None
    actor: str | None = None
    state: str = "pending"
    attempts: int = 0
    key: RefundKey | None = None
    """Of a refund that an administrator asked for."""
    fingerprint: bytes | None = None
