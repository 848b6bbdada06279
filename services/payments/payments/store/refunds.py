"""The table of refunds. A refund is written while its payment is locked, so that the sums of the payment agree."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row, note_change
from payments.domain.refund import Refund, RefundKey, RefundState
from payments.store.payments import LEASE_S

CREATED = "refunds"
"""The change that is noted when a refund is due at once: the loop of refunds is woken after the commit."""


async def add(connection: Connection, refunds: Sequence[Refund], *, attempt_in_s: float = 0) -> None:
    """Insert refunds. They are due to a worker in `attempt_in_s`; until then the caller has the lease."""
    if not attempt_in_s:
        note_change(CREATED)
    await connection.execute(
        """
        INSERT INTO refunds (
            id, payment_id, amount_minor, currency, reason, correlation_id, traceparent, actor,
            requested_by, idempotency_key, fingerprint, attempts, next_attempt_at
        )
        SELECT id, payment_id, amount_minor, currency, reason, correlation_id, traceparent, actor,
               requested_by, idempotency_key, fingerprint, attempts, now() + make_interval(secs => $13)
        FROM unnest(
            $1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::bytea[], $12::int[]
        ) AS refund (
            id, payment_id, amount_minor, currency, reason, correlation_id, traceparent, actor,
            requested_by, idempotency_key, fingerprint, attempts
        )
        """,
        [refund.id for refund in refunds],
        [refund.payment_id for refund in refunds],
        [refund.amount_minor for refund in refunds],
        [refund.currency for refund in refunds],
        [refund.reason for refund in refunds],
        [refund.correlation_id for refund in refunds],
        [refund.traceparent for refund in refunds],
        [refund.actor for refund in refunds],
        [refund.key and refund.key.requested_by for refund in refunds],
        [refund.key and refund.key.idempotency_key for refund in refunds],
        [refund.fingerprint for refund in refunds],
        [refund.attempts for refund in refunds],
        attempt_in_s,
    )


async def find_by_request(
    connection: Connection, payment_id: UUID, refund_id: UUID, key: RefundKey
) -> tuple[UUID, bytes | None] | None:
    """The id and the fingerprint of the refund that an earlier attempt of this request created, by its key or its id.

    A refund with a key and without an administrator is older than the column of the administrator.
    """
    row = await connection.fetchrow(
        """
        SELECT id, fingerprint
        FROM refunds
        WHERE payment_id = $1
          AND (id = $2 OR (idempotency_key = $3 AND (requested_by = $4 OR requested_by IS NULL)))
        """,
        payment_id,
        refund_id,
        key.idempotency_key,
        key.requested_by,
    )
    return None if row is None else (row["id"], row["fingerprint"])


async def claim_due(connection: Connection, limit: int) -> list[Refund]:
    """Lease pending refunds that are due to this replica."""
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT id
            FROM refunds
            WHERE state = 'pending' AND next_attempt_at <= now()
            ORDER BY next_attempt_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE refunds
        SET next_attempt_at = now() + make_interval(secs => $2),
            attempts        = refunds.attempts + 1
        FROM due
        WHERE refunds.id = due.id
        RETURNING refunds.id, payment_id, amount_minor, currency, reason, correlation_id, traceparent, actor,
                  state, attempts
        """,
        limit,
        LEASE_S,
    )
    return [Refund(**{**row, "state": RefundState(row["state"])}) for row in rows]


async def end(connection: Connection, codes: Mapping[UUID, str | None]) -> set[UUID]:
    """End pending refunds: as failed where there is a code, else as done. Returns the ids of those it has ended."""
    rows = await connection.fetch(
        """
        UPDATE refunds
        SET state   = CASE WHEN ended.code IS NULL THEN 'done' ELSE 'failed' END,
            code    = ended.code,
            done_at = CASE WHEN ended.code IS NULL THEN now() END
        FROM unnest($1::uuid[], $2::text[]) AS ended (id, code)
        WHERE refunds.id = ended.id AND refunds.state = 'pending'
        RETURNING refunds.id
        """,
        list(codes),
        list(codes.values()),
    )
    return {row["id"] for row in rows}


async def schedule_retries(connection: Connection, delays_s: Mapping[UUID, float]) -> None:
    """Release the lease of refunds whose outcome is not known. They are due again after the delay."""
    await connection.execute(
        """
        UPDATE refunds
        SET next_attempt_at = now() + make_interval(secs => delay.seconds)
        FROM unnest($1::uuid[], $2::float8[]) AS delay (id, seconds)
        WHERE refunds.id = delay.id AND refunds.state = 'pending'
        """,
        list(delays_s),
        list(delays_s.values()),
    )


async def read_refund(connection: Connection, refund_id: UUID) -> Row | None:
    return await connection.fetchrow(
        """
        SELECT id, payment_id, amount_minor, currency, reason, actor, state, code, created_at, done_at
        FROM refunds
        WHERE id = $1
        """,
        refund_id,
    )


async def read_refunds(connection: Connection, payment_id: UUID, before: UUID | None, limit: int) -> list[Row]:
    """The refunds of a payment, the newest first."""
    return await connection.fetch(
        """
        SELECT id, payment_id, amount_minor, currency, reason, actor, state, code, created_at, done_at
        FROM refunds
        WHERE payment_id = $1 AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        LIMIT $3
        """,
        payment_id,
        before,
        limit,
    )
