"""The sandbox provider's tables. Only the sandbox reads and writes them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row
from payments.domain.payment_provider import AuthorizationRequest, ProviderState, ProviderStatus, RefundRequest


async def add_payments(
    connection: Connection,
    requests: Sequence[AuthorizationRequest],
    statuses: Sequence[ProviderStatus],
    failures: Sequence[int],
) -> set[UUID]:
    """Insert the payments that the sandbox does not know yet, and return their ids."""
    rows = await connection.fetch(
        """
        INSERT INTO sandbox_payments (payment_id, token, amount_minor, currency, state, code, failures_left)
        SELECT payment_id, token, amount_minor, currency, state, code, failures_left
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::integer[])
             AS request (payment_id, token, amount_minor, currency, state, code, failures_left)
        ORDER BY payment_id
        ON CONFLICT (payment_id) DO NOTHING
        RETURNING payment_id
        """,
        [request.payment_id for request in requests],
        [request.token for request in requests],
        [request.amount_minor for request in requests],
        [request.currency for request in requests],
        [status.state for status in statuses],
        [status.code for status in statuses],
        failures,
    )
    return {row["payment_id"] for row in rows}


async def lock_payments(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """These payments, by id, locked until the transaction ends."""
    rows = await connection.fetch(
        """
        SELECT payment_id, amount_minor, currency, state, code, failures_left
        FROM sandbox_payments
        WHERE payment_id = ANY ($1::uuid[])
        ORDER BY payment_id
        FOR UPDATE
        """,
        payment_ids,
    )
    return {row["payment_id"]: row for row in rows}


async def capture(connection: Connection, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Capture the authorized ones of these payments, and return their ids."""
    rows = await connection.fetch(
        """
        UPDATE sandbox_payments
        SET state = 'captured'
        FROM unnest($1::uuid[]) AS request (payment_id)
        WHERE sandbox_payments.payment_id = request.payment_id AND state = 'authorized'
        RETURNING sandbox_payments.payment_id
        """,
        sorted(payment_ids),
    )
    return {row["payment_id"] for row in rows}


async def set_states(connection: Connection, states: Mapping[UUID, ProviderState]) -> None:
    await connection.execute(
        """
        UPDATE sandbox_payments
        SET state = changed.state
        FROM unnest($1::uuid[], $2::text[]) AS changed (payment_id, state)
        WHERE sandbox_payments.payment_id = changed.payment_id
        """,
        list(states),
        list(states.values()),
    )


async def count_failures(connection: Connection, payment_ids: Sequence[UUID]) -> None:
    await connection.execute(
        "UPDATE sandbox_payments SET failures_left = failures_left - 1 WHERE payment_id = ANY ($1::uuid[])",
        payment_ids,
    )


async def read_refunds(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, int]]:
    """The refunded amounts, by payment and by refund."""
    rows = await connection.fetch(
        "SELECT payment_id, refund_id, amount_minor FROM sandbox_refunds WHERE payment_id = ANY ($1::uuid[])",
        payment_ids,
    )
    refunds: dict[UUID, dict[UUID, int]] = {}
    for row in rows:
        refunds.setdefault(row["payment_id"], {})[row["refund_id"]] = row["amount_minor"]
    return refunds


async def add_refunds(connection: Connection, requests: Sequence[RefundRequest]) -> None:
    await connection.execute(
        """
        INSERT INTO sandbox_refunds (refund_id, payment_id, amount_minor)
        SELECT refund_id, payment_id, amount_minor
        FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS refund (refund_id, payment_id, amount_minor)
        """,
        [request.refund_id for request in requests],
        [request.payment_id for request in requests],
        [request.amount_minor for request in requests],
    )


async def read_statuses(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, ProviderStatus]:
    rows = await connection.fetch(
        """
        SELECT payment_id, state, code,
               (SELECT coalesce(sum(amount_minor), 0)::bigint
                FROM sandbox_refunds
                WHERE sandbox_refunds.payment_id = sandbox_payments.payment_id) AS refunded_minor
        FROM sandbox_payments
        WHERE payment_id = ANY ($1::uuid[])
        """,
        payment_ids,
    )
    return {
        row["payment_id"]: ProviderStatus(ProviderState(row["state"]), row["code"], row["refunded_minor"])
        for row in rows
    }
