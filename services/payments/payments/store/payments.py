"""The table of payments.

Every statement locks rows in the order of `order_id`, so that batches cannot deadlock.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Row, note_change, rows_affected
from payments.domain.ledger import Entry
from payments.domain.payment import NO_CURRENCY, Change, Payment, PaymentState, PendingAction
from payments.domain.payment_provider import Card
from payments.store import ledger

_COLUMNS = """
    payments.id, payments.order_id, payments.user_id, payments.amount_minor, payments.currency, payments.method_token,
    payments.state, payments.wanted AS pending_action, payments.code, payments.refund_requested_minor,
    payments.refunded_minor, payments.attempts, payments.correlation_id, payments.traceparent, payments.actor
"""
LEASE_S = 15.0
"""How long a claimed payment or refund belongs to its replica: longer than a call to the provider and its write."""

ACTION_PENDING = "pending actions"
"""The change that is noted when a new pending action is due at once: the loop of payments is woken after the commit."""


async def add_intents(connection: Connection, intents: Sequence[tuple[Payment, Card]]) -> set[UUID]:
    """Insert the intents of orders that have neither a payment nor a tombstone, and return the ids of these orders.

    The token of a deleted account is not written.
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
    """Insert a tombstone for each of these orders that has no payment, and return the ids of these orders."""
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


async def find_by_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """The payments and tombstones of these orders, by order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM payments WHERE order_id = ANY ($1::uuid[])",  # noqa: S608
        order_ids,
    )
    return {row["order_id"]: _payment(row) for row in rows}


async def lock_by_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
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


async def lock_by_ids(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
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
    """The time since the payment was first requested, by the database's clock."""
    query = "SELECT extract(epoch FROM now() - created_at)::float8 FROM payments WHERE id = $1"
    return float(await connection.fetchval(query, payment_id))


async def update(connection: Connection, changes: Sequence[Change], *, attempt_in_s: float = 0.0) -> None:
    """Write changes of locked payments. A new pending action is due in `attempt_in_s`."""
    if not attempt_in_s and any(_has_new_action(change) for change in changes):
        note_change(ACTION_PENDING)
    status = await connection.execute(
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
                                   THEN payments.next_attempt_at ELSE now() + make_interval(secs => $12) END,
            authorized_at   = CASE WHEN changed.state = 'authorized'
                                   THEN coalesce(payments.authorized_at, now()) ELSE payments.authorized_at END,
            captured_at     = CASE WHEN changed.state = 'captured'
                                   THEN coalesce(payments.captured_at, now()) ELSE payments.captured_at END,
            voided_at       = CASE WHEN changed.state = 'voided'
                                   THEN coalesce(payments.voided_at, now()) ELSE payments.voided_at END
        FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[]
        ) AS changed (
            id, state, wanted, code, refund_requested_minor, refunded_minor, correlation_id, traceparent, actor,
            state_before, wanted_before
        )
        WHERE payments.id = changed.id
          AND payments.state = changed.state_before
          AND payments.wanted IS NOT DISTINCT FROM changed.wanted_before
        """,
        [change.payment.id for change in changes],
        [change.payment.state for change in changes],
        [change.payment.pending_action for change in changes],
        [change.payment.code for change in changes],
        [change.payment.refund_requested_minor for change in changes],
        [change.payment.refunded_minor for change in changes],
        [change.payment.correlation_id for change in changes],
        [change.payment.traceparent for change in changes],
        [change.payment.actor for change in changes],
        [change.before.state for change in changes],
        [change.before.pending_action for change in changes],
        attempt_in_s,
    )
    assert rows_affected(status) == len(changes), "the payments are locked, so their states are those that were read"


def _has_new_action(change: Change) -> bool:
    return change.payment.pending_action not in {None, change.before.pending_action}


_UPDATE_IF_UNCHANGED = """
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
_ADD_ENTRIES = """
    , added_entries AS (
        INSERT INTO ledger_entries (transaction_id, account, payment_id, amount_minor, currency)
        SELECT transaction_id, account, payment_id, amount_minor, currency
        FROM unnest($7::uuid[], $8::text[], $9::uuid[], $10::bigint[], $11::text[])
             AS entry (transaction_id, account, payment_id, amount_minor, currency)
        JOIN changed ON changed.id = entry.payment_id
    )
"""
_APPLY_IF_UNCHANGED = journal.with_events(_UPDATE_IF_UNCHANGED, subject="id", parameters=11, also=_ADD_ENTRIES)


async def apply_if_unchanged(
    connection: Connection, changes: Sequence[Change], entries: Sequence[Entry], events: Sequence[Event]
) -> set[UUID]:
    """Write the changes of payments whose state and pending action are still those that were read.

    Returns the ids of these payments. Their rows, entries and events are one statement, and so one transaction.
    """
    changes = sorted(changes, key=lambda change: change.payment.order_id)  # The common order of locks.
    rows = await connection.fetch(
        _APPLY_IF_UNCHANGED,
        [change.payment.id for change in changes],
        [change.payment.state for change in changes],
        [change.payment.pending_action for change in changes],
        [change.payment.code for change in changes],
        [change.before.state for change in changes],
        [change.before.pending_action for change in changes],
        *ledger.columns_of(entries),
        *journal.columns_of(events),
    )
    return {row["id"] for row in rows}


async def claim_due(connection: Connection, limit: int) -> list[Payment]:
    """Lease payments whose pending action is due to this replica.

    A pending capture waits until the outcome of the authorization is known; a pending void does not.
    """
    rows = await connection.fetch(
        f"""
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
        RETURNING {_COLUMNS}
        """,  # noqa: S608
        limit,
        LEASE_S,
    )
    return [_payment(row) for row in rows]


async def schedule_retries(connection: Connection, delays_s: Mapping[UUID, float]) -> None:
    """Release the lease of payments whose outcome is not known. They are due again after the delay."""
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


async def read_payment(connection: Connection, payment_id: UUID, user_id: UUID | None) -> Row | None:
    """One payment for display, and only of that user when `user_id` is given. Tombstones are never displayed."""
    return await connection.fetchrow(
        """
        SELECT id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
               state, code, refunded_minor, created_at, authorized_at, captured_at, voided_at
        FROM payments
        WHERE id = $1 AND user_id IS NOT NULL AND ($2::uuid IS NULL OR user_id = $2)
        """,
        payment_id,
        user_id,
    )


async def read_payments(
    connection: Connection, *, user_id: UUID | None, order_id: UUID | None, before: UUID | None, limit: int
) -> list[Row]:
    """Payments for display, the newest first: of that user and of that order, where given."""
    # Only the given conditions are in the statement: with `$1 IS NULL OR ...` its prepared plan could use no index.
    given = [(part, value) for part, value in _parts(user_id, order_id, before) if value is not None]
    conditions = " ".join(f"AND {part} ${number}" for number, (part, _) in enumerate(given, start=2))
    return await connection.fetch(
        f"""
        SELECT id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
               state, code, refunded_minor, created_at, authorized_at, captured_at, voided_at
        FROM payments
        WHERE user_id IS NOT NULL {conditions}
        ORDER BY id DESC
        LIMIT $1
        """,  # noqa: S608 - only constants are inserted.
        limit,
        *(value for _, value in given),
    )


def _parts(user_id: UUID | None, order_id: UUID | None, before: UUID | None) -> list[tuple[str, UUID | None]]:
    return [("user_id =", user_id), ("order_id =", order_id), ("id <", before)]


def _payment(row: Row) -> Payment:
    fields = dict(row)
    pending_action = fields.pop("pending_action")
    return Payment(
        **{**fields, "state": PaymentState(row["state"])},
        pending_action=None if pending_action is None else PendingAction(pending_action),
    )
