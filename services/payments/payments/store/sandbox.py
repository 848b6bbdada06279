"""The sandbox provider's record in the database. Nothing but the sandbox reads or writes it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row
from payments.domain.payment_provider import GiveBack, Hold, Standing


async def add(
    connection: Connection, holds: Sequence[Hold], standings: Sequence[Standing], failures: Sequence[int]
) -> set[UUID]:
    """Note payments that were never heard of; answers which those were."""
    rows = await connection.fetch(
        """
        INSERT INTO sandbox_payments (payment_id, token, amount_minor, currency, state, code, failures_left)
        SELECT payment_id, token, amount_minor, currency, state, code, failures_left
        FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::integer[])
             AS heard (payment_id, token, amount_minor, currency, state, code, failures_left)
        ORDER BY payment_id
        ON CONFLICT (payment_id) DO NOTHING
        RETURNING payment_id
        """,
        [hold.payment_id for hold in holds],
        [hold.token for hold in holds],
        [hold.amount_minor for hold in holds],
        [hold.currency for hold in holds],
        [standing.state for standing in standings],
        [standing.code for standing in standings],
        failures,
    )
    return {row["payment_id"] for row in rows}


async def lock(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """What the record holds on these payments, locked until the transaction ends."""
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


async def take(connection: Connection, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Capture those of these payments that are held; answers which those were."""
    rows = await connection.fetch(
        """
        UPDATE sandbox_payments
        SET state = 'captured'
        FROM unnest($1::uuid[]) AS asked (payment_id)
        WHERE sandbox_payments.payment_id = asked.payment_id AND state = 'authorized'
        RETURNING sandbox_payments.payment_id
        """,
        sorted(payment_ids),
    )
    return {row["payment_id"] for row in rows}


async def set_states(connection: Connection, states: Mapping[UUID, str]) -> None:
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
    """The amounts given back, by refund, by payment."""
    rows = await connection.fetch(
        "SELECT payment_id, refund_id, amount_minor FROM sandbox_refunds WHERE payment_id = ANY ($1::uuid[])",
        payment_ids,
    )
    refunds: dict[UUID, dict[UUID, int]] = {}
    for row in rows:
        refunds.setdefault(row["payment_id"], {})[row["refund_id"]] = row["amount_minor"]
    return refunds


async def add_refunds(connection: Connection, refunds: Sequence[GiveBack]) -> None:
    await connection.execute(
        """
        INSERT INTO sandbox_refunds (refund_id, payment_id, amount_minor)
        SELECT refund_id, payment_id, amount_minor
        FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS refund (refund_id, payment_id, amount_minor)
        """,
        [refund.refund_id for refund in refunds],
        [refund.payment_id for refund in refunds],
        [refund.amount_minor for refund in refunds],
    )


async def read_standings(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Standing]:
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
    return {row["payment_id"]: Standing(row["state"], row["code"], row["refunded_minor"]) for row in rows}
