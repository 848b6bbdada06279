"""Payments in the database.

Rows are always locked in the order of their orders' ids, so that batches cannot deadlock.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Row
from payments import store
from payments.domain.ledger import Entry
from payments.domain.payment import NO_CURRENCY, Payment, State, Wanted
from payments.domain.payment_provider import Card

_COLUMNS = """
    id, order_id, user_id, amount_minor, currency, method_token, state, wanted, code,
    refund_requested_minor, refunded_minor, attempts, correlation_id, traceparent, actor
"""
LEASE_S = 15.0
"""How long a taken payment is left to who took it: longer than a call to the provider and writing its outcome."""


async def add_intents(connection: Connection, intents: Sequence[tuple[Payment, Card]]) -> set[UUID]:
    """Write the intents, but for orders that have a payment or a tombstone already; answers the others' orders.

    Of a deleted account no token is written.
    """
    rows = await connection.fetch(
        """
        INSERT INTO payments (
            id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
            state, correlation_id, traceparent, actor
        )
        SELECT id, order_id, user_id, amount_minor, currency,
               CASE WHEN EXISTS (SELECT FROM deleted_users WHERE deleted_users.user_id = intent.user_id)
                    THEN '' ELSE method_token END,
               method_brand, method_last4, 'intended', correlation_id, traceparent, actor
        FROM unnest(
            $1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]
        ) AS intent (
            id, order_id, user_id, amount_minor, currency,
            method_token, method_brand, method_last4, correlation_id, traceparent, actor
        )
        ORDER BY order_id
        ON CONFLICT (order_id) DO NOTHING
        RETURNING order_id
        """,
        [payment.id for payment, _ in intents],
        [payment.order_id for payment, _ in intents],
        [payment.user_id for payment, _ in intents],
        [payment.amount_minor for payment, _ in intents],
        [payment.currency for payment, _ in intents],
        [payment.method_token for payment, _ in intents],
        [card.brand for _, card in intents],
        [card.last4 for _, card in intents],
        [payment.correlation_id for payment, _ in intents],
        [payment.traceparent for payment, _ in intents],
        [payment.actor for payment, _ in intents],
    )
    return {row["order_id"] for row in rows}


async def add_tombstones(connection: Connection, correlation_ids: Mapping[UUID, str]) -> set[UUID]:
    """Leave a tombstone for each of these orders that has no payment; answers the orders that got one."""
    rows = await connection.fetch(
        """
        INSERT INTO payments (
            id, order_id, amount_minor, currency, method_token, method_brand, method_last4,
            state, correlation_id, voided_at
        )
        SELECT id, order_id, 0, $4, '', '', '', 'voided', correlation_id, now()
        FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS tombstone (id, order_id, correlation_id)
        ORDER BY order_id
        ON CONFLICT (order_id) DO NOTHING
        RETURNING order_id
        """,
        [uuid7() for _ in correlation_ids],
        list(correlation_ids),
        list(correlation_ids.values()),
        NO_CURRENCY,
    )
    return {row["order_id"] for row in rows}


async def of_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """The payments and tombstones of these orders, by order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM payments WHERE order_id = ANY ($1::uuid[])",  # noqa: S608
        order_ids,
    )
    return {row["order_id"]: _payment(row) for row in rows}


async def lock_of_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """The payments and tombstones of these orders, by order, locked until the transaction ends."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM payments
        WHERE order_id = ANY ($1::uuid[])
        ORDER BY order_id
        FOR UPDATE
        """,  # noqa: S608
        order_ids,
    )
    return {row["order_id"]: _payment(row) for row in rows}


async def lock(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """These payments, by id, locked until the transaction ends."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM payments
        WHERE id = ANY ($1::uuid[])
        ORDER BY order_id
        FOR UPDATE
        """,  # noqa: S608
        payment_ids,
    )
    return {row["id"]: _payment(row) for row in rows}


async def age_s(connection: Connection, payment_id: UUID) -> float:
    """How long ago the payment was first asked for, by the database's clock."""
    query = "SELECT extract(epoch FROM now() - created_at)::float8 FROM payments WHERE id = $1"
    return float(await connection.fetchval(query, payment_id))


async def update(connection: Connection, payments: Sequence[Payment], *, attempt_in_s: float = 0.0) -> None:
    """Write what became of locked payments. What is newly wanted is due in `attempt_in_s`."""
    await connection.execute(
        """
        UPDATE payments
        SET state                  = changed.state,
            wanted                 = changed.wanted,
            code                   = changed.code,
            refund_requested_minor = changed.refund_requested_minor,
            refunded_minor         = changed.refunded_minor,
            correlation_id         = changed.correlation_id,
            traceparent            = changed.traceparent,
            actor                  = changed.actor,
            attempts        = CASE WHEN payments.wanted IS NOT DISTINCT FROM changed.wanted
                                   THEN payments.attempts ELSE 0 END,
            next_attempt_at = CASE WHEN payments.wanted IS NOT DISTINCT FROM changed.wanted
                                   THEN payments.next_attempt_at ELSE now() + make_interval(secs => $10) END,
            authorized_at   = CASE WHEN changed.state = 'authorized'
                                   THEN coalesce(payments.authorized_at, now()) ELSE payments.authorized_at END,
            captured_at     = CASE WHEN changed.state = 'captured'
                                   THEN coalesce(payments.captured_at, now()) ELSE payments.captured_at END,
            voided_at       = CASE WHEN changed.state = 'voided'
                                   THEN coalesce(payments.voided_at, now()) ELSE payments.voided_at END
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
            $9::text[]
        ) AS changed (
            id, state, wanted, code, refund_requested_minor, refunded_minor, correlation_id, traceparent, actor
        )
        WHERE payments.id = changed.id
        """,
        [payment.id for payment in payments],
        [payment.state for payment in payments],
        [payment.wanted for payment in payments],
        [payment.code for payment in payments],
        [payment.refund_requested_minor for payment in payments],
        [payment.refunded_minor for payment in payments],
        [payment.correlation_id for payment in payments],
        [payment.traceparent for payment in payments],
        [payment.actor for payment in payments],
        attempt_in_s,
    )


_UPDATE_IF_SAME = """
    UPDATE payments
    SET state         = changed.state,
        wanted        = changed.wanted,
        code          = changed.code,
        authorized_at = CASE changed.state WHEN 'authorized' THEN now() ELSE payments.authorized_at END,
        captured_at   = CASE changed.state WHEN 'captured' THEN now() ELSE payments.captured_at END,
        voided_at     = CASE changed.state WHEN 'voided' THEN now() ELSE payments.voided_at END
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
         AS changed (id, state, wanted, code, state_before, wanted_before)
    WHERE payments.id = changed.id
      AND payments.state = changed.state_before
      AND payments.wanted IS NOT DISTINCT FROM changed.wanted_before
    RETURNING payments.id
"""
_BOOK = """
    , booked AS (
        INSERT INTO ledger_entries (transaction_id, account, payment_id, amount_minor, currency)
        SELECT transaction_id, account, payment_id, amount_minor, currency
        FROM unnest($7::uuid[], $8::text[], $9::uuid[], $10::bigint[], $11::text[])
             AS entry (transaction_id, account, payment_id, amount_minor, currency)
        JOIN changed ON changed.id = entry.payment_id
    )
"""
_RECORD_IF_SAME = journal.with_events(_UPDATE_IF_SAME, subject="id", parameters=11, also=_BOOK)


async def record_if_same(
    connection: Connection,
    changes: Sequence[tuple[Payment, Payment]],
    entries: Sequence[Entry],
    events: Sequence[Event],
) -> set[UUID]:
    """Write what became of payments that are still in the state, and wanted as, they were when they were read; answers
    the ids of those. A change of the state of each, its entries and its events: one statement, and so one transaction.
    """
    # In the order in which everybody locks them.
    changes = sorted(changes, key=lambda change: change[0].order_id)
    rows = await connection.fetch(
        _RECORD_IF_SAME,
        [after.id for _, after in changes],
        [after.state for _, after in changes],
        [after.wanted for _, after in changes],
        [after.code for _, after in changes],
        [before.state for before, _ in changes],
        [before.wanted for before, _ in changes],
        *store.ledger.columns_of(entries),
        *journal.columns_of(events),
    )
    return {row["id"] for row in rows}


async def take_due(connection: Connection, limit: int) -> list[Payment]:
    """Take payments of which something is wanted, on a lease that replicas respect.

    A capture that is wanted waits until the authorization is known; a void does not.
    """
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT id
            FROM payments
            WHERE wanted IS NOT NULL
              AND next_attempt_at <= now()
              AND (state = 'authorized' OR wanted = 'give_back')
            ORDER BY next_attempt_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE payments
        SET next_attempt_at = now() + make_interval(secs => $2),
            attempts        = payments.attempts + 1
        FROM due
        WHERE payments.id = due.id
        RETURNING payments.id, order_id, user_id, amount_minor, currency, method_token, state, wanted, code,
                  refund_requested_minor, refunded_minor, attempts, correlation_id, traceparent, actor
        """,
        limit,
        LEASE_S,
    )
    return [_payment(row) for row in rows]


async def try_again_in(connection: Connection, delays_s: Mapping[UUID, float]) -> None:
    """Give up the lease on payments whose outcome is not known; they are due again after the delay."""
    await connection.execute(
        """
        UPDATE payments
        SET next_attempt_at = now() + make_interval(secs => delay.seconds)
        FROM unnest($1::uuid[], $2::float8[]) AS delay (id, seconds)
        WHERE payments.id = delay.id
        """,
        list(delays_s),
        list(delays_s.values()),
    )


def _payment(row: Row) -> Payment:
    fields = dict(row)
    wanted = fields.pop("wanted")
    return Payment(
        **{**fields, "state": State(row["state"])},
        wanted=None if wanted is None else Wanted(wanted),
    )
