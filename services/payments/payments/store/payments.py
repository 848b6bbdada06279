"""The table of payments.

Every statement locks rows in the order of `order_id`, so that batches cannot deadlock. The classes of rows are not
frozen: a frozen one takes more than twice as long to make, and each payment needs several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.messaging.journal import Event, JournaledChange
from chassis.persistence.database import Connection, Row, note_change, rows_affected
from chassis.persistence.statements import Statement
from payments.domain.ledger import Entry, check_balance
from payments.domain.payment import NO_CURRENCY, Change, Payment, PaymentState, PendingAction
from payments.domain.payment_provider import Card

_COLUMNS = """
    payments.id, payments.order_id, payments.user_id, payments.amount_minor, payments.currency, payments.method_token,
    payments.state, payments.wanted AS pending_action, payments.code, payments.refund_requested_minor,
    payments.refunded_minor, payments.attempts, payments.correlation_id, payments.traceparent, payments.actor
"""
LEASE_S = 15.0
"""How long a claimed payment or refund belongs to its replica: longer than a call to the provider and its write."""

ACTION_PENDING = "pending actions"
"""The change that is noted when a new pending action is due at once: the loop of payments is woken after the commit."""


@dataclass(slots=True)
class _IntentRow:
    id: UUID
    order_id: UUID
    user_id: UUID | None
    amount_minor: int
    currency: str
    method_token: str
    method_brand: str
    method_last4: str
    correlation_id: str
    traceparent: str | None
    actor: str | None


_ADD_INTENTS = Statement(
    """
    INSERT INTO payments (
        id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
        state, correlation_id, traceparent, actor
    )
    SELECT id, order_id, user_id, amount_minor, currency,
           CASE WHEN EXISTS (SELECT FROM deleted_users WHERE deleted_users.user_id = intents.user_id)
                THEN '' ELSE method_token END,
           method_brand, method_last4, 'intended', correlation_id, traceparent, actor
    FROM :intents
    ORDER BY order_id
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
    """,
    intents=_IntentRow,
)


async def add_intents(connection: Connection, intents: Sequence[tuple[Payment, Card]]) -> set[UUID]:
    """Insert the intents of orders that have neither a payment nor a tombstone, and return the ids of these orders.

    The token of a deleted account is not written.
    """
    rows = [
        _IntentRow(
            id=payment.id,
            order_id=payment.order_id,
            user_id=payment.user_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            method_token=payment.method_token,
            method_brand=card.brand,
            method_last4=card.last4,
            correlation_id=payment.correlation_id,
            traceparent=payment.traceparent,
            actor=payment.actor,
        )
        for payment, card in intents
    ]
    return {row["order_id"] for row in await _ADD_INTENTS.fetch(connection, intents=rows)}


@dataclass(slots=True)
class _TombstoneRow:
    id: UUID
    order_id: UUID
    correlation_id: str


_ADD_TOMBSTONES = Statement(
    """
    INSERT INTO payments (
        id, order_id, amount_minor, currency, method_token, method_brand, method_last4,
        state, correlation_id, voided_at
    )
    SELECT id, order_id, 0, :currency, '', '', '', 'voided', correlation_id, now()
    FROM :tombstones
    ORDER BY order_id
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
    """,
    tombstones=_TombstoneRow,
)


async def add_tombstones(connection: Connection, correlation_ids: Mapping[UUID, str]) -> set[UUID]:
    """Insert a tombstone for each of these orders that has no payment, and return the ids of these orders."""
    tombstones = [_TombstoneRow(uuid7(), order_id, correlation_ids[order_id]) for order_id in correlation_ids]
    rows = await _ADD_TOMBSTONES.fetch(connection, tombstones=tombstones, currency=NO_CURRENCY)
    return {row["order_id"] for row in rows}


_FIND_BY_ORDERS = Statement(f"SELECT {_COLUMNS} FROM payments WHERE order_id = ANY (:order_ids)")  # noqa: S608


async def find_by_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """The payments and tombstones of these orders, by order."""
    rows = await _FIND_BY_ORDERS.fetch(connection, order_ids=order_ids)
    return {row["order_id"]: _payment(row) for row in rows}


_LOCK_BY_ORDERS = Statement(
    f"""
    SELECT {_COLUMNS}
    FROM payments
    WHERE order_id = ANY (:order_ids)
    ORDER BY order_id
    FOR UPDATE
    """  # noqa: S608
)


async def lock_by_orders(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """The payments and tombstones of these orders, by order, locked until the transaction ends."""
    rows = await _LOCK_BY_ORDERS.fetch(connection, order_ids=order_ids)
    return {row["order_id"]: _payment(row) for row in rows}


_LOCK_BY_IDS = Statement(
    f"""
    SELECT {_COLUMNS}
    FROM payments
    WHERE id = ANY (:payment_ids)
    ORDER BY order_id
    FOR UPDATE
    """  # noqa: S608
)


async def lock_by_ids(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Payment]:
    """These payments, by id, locked until the transaction ends."""
    rows = await _LOCK_BY_IDS.fetch(connection, payment_ids=payment_ids)
    return {row["id"]: _payment(row) for row in rows}


_AGE_S = Statement("SELECT extract(epoch FROM now() - created_at)::float8 FROM payments WHERE id = :payment_id")


async def age_s(connection: Connection, payment_id: UUID) -> float:
    """The time since the payment was first requested, by the database's clock."""
    return float(await _AGE_S.fetchval(connection, payment_id=payment_id))


@dataclass(slots=True)
class _ChangeRow:
    """A locked payment after a change. The statement checks the state and the pending action before it."""

    id: UUID
    state: PaymentState
    wanted: PendingAction | None
    code: str | None
    refund_requested_minor: int
    refunded_minor: int
    correlation_id: str
    traceparent: str | None
    actor: str | None
    state_before: PaymentState
    wanted_before: PendingAction | None


_UPDATE = Statement(
    """
    UPDATE payments
    SET state                  = changes.state,
        wanted                 = changes.wanted,
        code                   = changes.code,
        refund_requested_minor = changes.refund_requested_minor,
        refunded_minor         = changes.refunded_minor,
        correlation_id         = changes.correlation_id,
        traceparent            = changes.traceparent,
        actor                  = changes.actor,
        attempts        = CASE WHEN payments.wanted IS NOT DISTINCT FROM changes.wanted
                               THEN payments.attempts ELSE 0 END,
        next_attempt_at = CASE WHEN payments.wanted IS NOT DISTINCT FROM changes.wanted
                               THEN payments.next_attempt_at ELSE now() + make_interval(secs => :attempt_in_s) END,
        authorized_at   = CASE WHEN changes.state = 'authorized'
                               THEN coalesce(payments.authorized_at, now()) ELSE payments.authorized_at END,
        captured_at     = CASE WHEN changes.state = 'captured'
                               THEN coalesce(payments.captured_at, now()) ELSE payments.captured_at END,
        voided_at       = CASE WHEN changes.state = 'voided'
                               THEN coalesce(payments.voided_at, now()) ELSE payments.voided_at END
    FROM :changes
    WHERE payments.id = changes.id
      AND payments.state = changes.state_before
      AND payments.wanted IS NOT DISTINCT FROM changes.wanted_before
    """,
    changes=_ChangeRow,
)


async def update(connection: Connection, changes: Sequence[Change], *, attempt_in_s: float = 0.0) -> None:
    """Write changes of locked payments. A new pending action is due in `attempt_in_s`."""
    if not attempt_in_s and any(_has_new_action(change) for change in changes):
        note_change(ACTION_PENDING)
    rows = [
        _ChangeRow(
            id=change.payment.id,
            state=change.payment.state,
            wanted=change.payment.pending_action,
            code=change.payment.code,
            refund_requested_minor=change.payment.refund_requested_minor,
            refunded_minor=change.payment.refunded_minor,
            correlation_id=change.payment.correlation_id,
            traceparent=change.payment.traceparent,
            actor=change.payment.actor,
            state_before=change.before.state,
            wanted_before=change.before.pending_action,
        )
        for change in changes
    ]
    status = await _UPDATE.execute(connection, changes=rows, attempt_in_s=attempt_in_s)
    assert rows_affected(status) == len(changes), "the payments are locked, so their states are those that were read"


def _has_new_action(change: Change) -> bool:
    return change.payment.pending_action not in {None, change.before.pending_action}


@dataclass(slots=True)
class _TransitionRow:
    id: UUID
    state: PaymentState
    wanted: PendingAction | None
    code: str | None
    state_before: PaymentState
    wanted_before: PendingAction | None


_APPLY_IF_UNCHANGED = JournaledChange(
    """
    UPDATE payments
    SET state         = transitions.state,
        wanted        = transitions.wanted,
        code          = transitions.code,
        authorized_at = CASE transitions.state WHEN 'authorized' THEN now() ELSE payments.authorized_at END,
        captured_at   = CASE transitions.state WHEN 'captured' THEN now() ELSE payments.captured_at END,
        voided_at     = CASE transitions.state WHEN 'voided' THEN now() ELSE payments.voided_at END
    FROM :transitions
    WHERE payments.id = transitions.id
      AND payments.state = transitions.state_before
      AND payments.wanted IS NOT DISTINCT FROM transitions.wanted_before
    RETURNING payments.id
    """,
    subject="id",
    also="""
    , added_entries AS (
        INSERT INTO ledger_entries (:entries.*)
        SELECT entries.*
        FROM :entries
        JOIN changed ON changed.id = entries.payment_id
    )
    """,
    transitions=_TransitionRow,
    entries=Entry,
)


async def apply_if_unchanged(
    connection: Connection, changes: Sequence[Change], entries: Sequence[Entry], events: Sequence[Event]
) -> set[UUID]:
    """Write the changes of payments whose state and pending action are still those that were read.

    Returns the ids of these payments. Their rows, entries and events are one statement, and so one transaction.
    """
    check_balance(entries)
    transitions = [
        _TransitionRow(
            id=change.payment.id,
            state=change.payment.state,
            wanted=change.payment.pending_action,
            code=change.payment.code,
            state_before=change.before.state,
            wanted_before=change.before.pending_action,
        )
        for change in sorted(changes, key=lambda change: change.payment.order_id)  # The common order of locks.
    ]
    rows = await _APPLY_IF_UNCHANGED.fetch(connection, transitions=transitions, entries=entries, events=events)
    return {row["id"] for row in rows}


_CLAIM_DUE = Statement(
    f"""
    WITH due AS (
        SELECT id
        FROM payments
        WHERE wanted IS NOT NULL
          AND next_attempt_at <= now()
          AND (state = 'authorized' OR wanted = 'give_back')
        ORDER BY next_attempt_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE payments
    SET next_attempt_at = now() + make_interval(secs => :lease_s),
        attempts        = payments.attempts + 1
    FROM due
    WHERE payments.id = due.id
    RETURNING {_COLUMNS}
    """  # noqa: S608
)


async def claim_due(connection: Connection, limit: int) -> list[Payment]:
    """Lease payments whose pending action is due to this replica.

    A pending capture waits until the outcome of the authorization is known; a pending void does not.
    """
    return [_payment(row) for row in await _CLAIM_DUE.fetch(connection, limit=limit, lease_s=LEASE_S)]


@dataclass(slots=True)
class _DelayRow:
    id: UUID
    delay_s: float


_SCHEDULE_RETRIES = Statement(
    """
    UPDATE payments
    SET next_attempt_at = now() + make_interval(secs => delays.delay_s)
    FROM :delays
    WHERE payments.id = delays.id
    """,
    delays=_DelayRow,
)


async def schedule_retries(connection: Connection, delays_s: Mapping[UUID, float]) -> None:
    """Release the lease of payments whose outcome is not known. They are due again after the delay."""
    await _SCHEDULE_RETRIES.execute(connection, delays=[_DelayRow(id_, delay_s) for id_, delay_s in delays_s.items()])


def _payment(row: Row) -> Payment:
    fields = dict(row)
    pending_action = fields.pop("pending_action")
    return Payment(
        **{**fields, "state": PaymentState(row["state"])},
        pending_action=None if pending_action is None else PendingAction(pending_action),
    )
