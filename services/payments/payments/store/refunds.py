"""The table of refunds. A refund is written while its payment is locked, so that the sums of the payment agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection, Row, note_change
from chassis.persistence.statements import Statement
from payments.domain.refund import Refund, RefundKey, RefundState
from payments.store.payments import LEASE_S

CREATED = "refunds"
"""The change that is noted when a refund is due at once: the loop of refunds is woken after the commit."""


@dataclass(slots=True)
class _RefundRow:
    id: UUID
    payment_id: UUID
    amount_minor: int
    currency: str
    reason: str
    correlation_id: str
    traceparent: str | None
    actor: str | None
    requested_by: UUID | None
    idempotency_key: str | None
    fingerprint: bytes | None
    attempts: int


_ADD = Statement(
    """
    INSERT INTO refunds (:refunds.*, next_attempt_at)
    SELECT refunds.*, now() + make_interval(secs => :attempt_in_s)
    FROM :refunds
    """,
    refunds=_RefundRow,
)


async def add(connection: Connection, refunds: Sequence[Refund], *, attempt_in_s: float = 0) -> None:
    """Insert refunds. They are due to a worker in `attempt_in_s`; until then the caller has the lease."""
    if not attempt_in_s:
        note_change(CREATED)
    rows = [
        _RefundRow(
            id=refund.id,
            payment_id=refund.payment_id,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            reason=refund.reason,
            correlation_id=refund.correlation_id,
            traceparent=refund.traceparent,
            actor=refund.actor,
            requested_by=None if refund.key is None else refund.key.requested_by,
            idempotency_key=None if refund.key is None else refund.key.idempotency_key,
            fingerprint=refund.fingerprint,
            attempts=refund.attempts,
        )
        for refund in refunds
    ]
    await _ADD.execute(connection, refunds=rows, attempt_in_s=attempt_in_s)


_FIND_BY_REQUEST = Statement(
    """
    SELECT id, fingerprint
    FROM refunds
    WHERE payment_id = :payment_id
      AND (id = :refund_id
           OR (idempotency_key = :idempotency_key AND (requested_by = :requested_by OR requested_by IS NULL)))
    """
)


async def find_by_request(
    connection: Connection, payment_id: UUID, refund_id: UUID, key: RefundKey
) -> tuple[UUID, bytes | None] | None:
    """The id and the fingerprint of the refund that an earlier attempt of this request created, by its key or its id.

    A refund with a key and without an administrator is older than the column of the administrator.
    """
    row = await _FIND_BY_REQUEST.fetchrow(
        connection,
        payment_id=payment_id,
        refund_id=refund_id,
        idempotency_key=key.idempotency_key,
        requested_by=key.requested_by,
    )
    return None if row is None else (row["id"], row["fingerprint"])


_CLAIM_DUE = Statement(
    """
    WITH due AS (
        SELECT id
        FROM refunds
        WHERE state = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE refunds
    SET next_attempt_at = now() + make_interval(secs => :lease_s),
        attempts        = refunds.attempts + 1
    FROM due
    WHERE refunds.id = due.id
    RETURNING refunds.id, payment_id, amount_minor, currency, reason, correlation_id, traceparent, actor,
              state, attempts
    """
)


async def claim_due(connection: Connection, limit: int) -> list[Refund]:
    """Lease pending refunds that are due to this replica."""
    rows = await _CLAIM_DUE.fetch(connection, limit=limit, lease_s=LEASE_S)
    return [Refund(**{**row, "state": RefundState(row["state"])}) for row in rows]


@dataclass(slots=True)
class _EndRow:
    id: UUID
    code: str | None


_END = Statement(
    """
    UPDATE refunds
    SET state   = CASE WHEN ends.code IS NULL THEN 'done' ELSE 'failed' END,
        code    = ends.code,
        done_at = CASE WHEN ends.code IS NULL THEN now() END
    FROM :ends
    WHERE refunds.id = ends.id AND refunds.state = 'pending'
    RETURNING refunds.id
    """,
    ends=_EndRow,
)


async def end(connection: Connection, codes: Mapping[UUID, str | None]) -> set[UUID]:
    """End pending refunds: as failed where there is a code, else as done. Returns the ids of those it has ended."""
    rows = await _END.fetch(connection, ends=[_EndRow(id_, code) for id_, code in codes.items()])
    return {row["id"] for row in rows}


@dataclass(slots=True)
class _DelayRow:
    id: UUID
    delay_s: float


_SCHEDULE_RETRIES = Statement(
    """
    UPDATE refunds
    SET next_attempt_at = now() + make_interval(secs => delays.delay_s)
    FROM :delays
    WHERE refunds.id = delays.id AND refunds.state = 'pending'
    """,
    delays=_DelayRow,
)


async def schedule_retries(connection: Connection, delays_s: Mapping[UUID, float]) -> None:
    """Release the lease of refunds whose outcome is not known. They are due again after the delay."""
    await _SCHEDULE_RETRIES.execute(connection, delays=[_DelayRow(id_, delay_s) for id_, delay_s in delays_s.items()])


_SHOWN = "SELECT id, payment_id, amount_minor, currency, reason, actor, state, code, created_at, done_at FROM refunds"
_READ_REFUND = Statement(f"{_SHOWN} WHERE id = :refund_id")


async def read_refund(connection: Connection, refund_id: UUID) -> Row | None:
    """One refund, as the public API shows it."""
    return await _READ_REFUND.fetchrow(connection, refund_id=refund_id)


_READ_REFUNDS = Statement(
    f"""
    {_SHOWN}
    WHERE payment_id = :payment_id AND (:before::uuid IS NULL OR id < :before)
    ORDER BY id DESC
    LIMIT :limit
    """
)


async def read_refunds(connection: Connection, payment_id: UUID, before: UUID | None, limit: int) -> list[Row]:
    """The refunds of a payment, the newest first."""
    return await _READ_REFUNDS.fetch(connection, payment_id=payment_id, before=before, limit=limit)
