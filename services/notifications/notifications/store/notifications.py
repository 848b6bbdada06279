"""The notifications: inserted once for each kind and key, claimed by one sender at a time, ended once."""

# ruff: noqa: S608 -- Only columns and conditions of this file are put into statements, never values.

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import msgspec

from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import JsonText, Statement
from notifications.domain.notification import Amounts, Kind, Notification, State

_COLUMNS = """id, kind, subject_key, order_id, user_id, toaddr, subject, body, state, code, correlation_id, traceparent,
              attempts, created_at, sent_at, event_data"""


@dataclass(frozen=True, slots=True)
class _NotificationRow:
    id: UUID
    kind: Kind
    subject_key: str
    order_id: UUID | None
    user_id: UUID | None
    toaddr: str
    subject: str
    body: str
    state: State
    code: str | None
    correlation_id: str
    traceparent: str | None
    event_data: JsonText | None
    amounts: JsonText | None


_INSERT = Statement(
    """
    INSERT INTO notifications (:rows.*)
    SELECT rows.*
    FROM :rows
    ORDER BY kind, subject_key
    ON CONFLICT DO NOTHING
    RETURNING id
    """,
    rows=_NotificationRow,
)


async def insert(connection: Connection, notifications: Sequence[Notification]) -> set[UUID]:
    """Insert those whose kind and key are new. Returns their ids."""
    if not notifications:
        return set()
    rows = [
        _NotificationRow(
            id=notification.id,
            kind=notification.kind,
            subject_key=notification.subject_key,
            order_id=notification.order_id,
            user_id=notification.user_id,
            toaddr=notification.toaddr,
            subject=notification.subject,
            body=notification.body,
            state=notification.state,
            code=notification.code,
            correlation_id=notification.correlation_id,
            traceparent=notification.traceparent,
            event_data=notification.event_data,
            amounts=_json(notification.amounts),
        )
        for notification in notifications
    ]
    return {row["id"] for row in await _INSERT.fetch(connection, rows=rows)}


_CLAIM_DUE = Statement(
    f"""
    WITH due AS MATERIALIZED (
        SELECT id, kind, subject_key, user_id
        FROM notifications
        WHERE state = 'pending' AND toaddr <> '' AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ), present AS (
        SELECT due.id AS due_id,
               CASE WHEN recipients.deleted THEN ''
                    WHEN due.kind <> 'address_changed' THEN recipients.email
               END AS email,
               CASE WHEN recipients.deleted THEN 'recipient_deleted'
                    WHEN due.kind = 'order_confirmed'
                         AND EXISTS (SELECT
                                     FROM notifications AS other
                                     WHERE other.kind = 'order_cancelled' AND other.subject_key = due.subject_key)
                    THEN 'order_cancelled'
               END AS obstacle
        FROM due
        LEFT JOIN recipients ON recipients.user_id = due.user_id
    )
    UPDATE notifications
    SET attempts        = attempts + 1,
        next_attempt_at = now() + make_interval(secs => :lease_s),
        toaddr          = coalesce(present.email, toaddr),
        state           = CASE WHEN obstacle IS NULL THEN state ELSE 'suppressed' END,
        code            = coalesce(obstacle, code),
        body            = CASE WHEN obstacle = 'recipient_deleted' THEN '' ELSE body END,
        event_data      = CASE WHEN obstacle = 'recipient_deleted' THEN NULL ELSE event_data END
    FROM present
    WHERE id = due_id
    RETURNING {_COLUMNS}
    """
)


async def claim_due(connection: Connection, limit: int, lease_s: float) -> list[Notification]:
    """Claim the notifications that are due, the longest due first. No other sender claims them until the lease expires.

    The result begins with those that were not tried yet, so mails that fail repeatedly do not delay others.

    The claim sets the address, since the notification may be old: a mail goes to the present address of its account,
    and none goes to a deleted account. The confirmation of an order that is cancelled meanwhile is suppressed. Only
    `address_changed` goes to the former address.
    """
    rows = await _CLAIM_DUE.fetch(connection, limit=limit, lease_s=lease_s)
    claimed = (_notification(row) for row in rows)
    return sorted((mail for mail in claimed if mail.state is State.PENDING), key=lambda mail: (mail.attempts, mail.id))


@dataclass(frozen=True, slots=True)
class _TextsRow:
    id: UUID
    subject: str
    body: str
    amounts: JsonText | None


_SET_TEXTS = Statement(
    """
    UPDATE notifications
    SET subject = written.subject, body = written.body, amounts = written.amounts
    FROM :written
    WHERE notifications.id = written.id AND state = 'pending'
    """,
    written=_TextsRow,
)


async def set_texts(connection: Connection, notifications: Sequence[Notification]) -> None:
    """Store the texts that will be sent next, and the sums that they state."""
    await _SET_TEXTS.execute(
        connection,
        written=[
            _TextsRow(
                id=notification.id,
                subject=notification.subject,
                body=notification.body,
                amounts=_json(notification.amounts),
            )
            for notification in notifications
        ],
    )


@dataclass(frozen=True, slots=True)
class _EndRow:
    id: UUID
    state: State
    code: str | None


_END = Statement(
    """
    UPDATE notifications
    SET state = ended.state, code = ended.code, sent_at = CASE WHEN ended.state = 'sent' THEN clock_timestamp() END
    FROM :ended
    WHERE notifications.id = ended.id AND notifications.state = 'pending'
    RETURNING notifications.id
    """,
    ended=_EndRow,
)


async def end(connection: Connection, ended: Sequence[Notification]) -> set[UUID]:
    """Store the end of each notification that is still pending. Returns the ids of these."""
    rows = await _END.fetch(
        connection,
        ended=[_EndRow(id=notification.id, state=notification.state, code=notification.code) for notification in ended],
    )
    return {row["id"] for row in rows}


@dataclass(frozen=True, slots=True)
class _DelayRow:
    id: UUID
    attempts: int
    code: str
    delay_s: float


_DEFER = Statement(
    """
    UPDATE notifications
    SET next_attempt_at = now() + make_interval(secs => delays.delay_s), code = delays.code
    FROM :delays
    WHERE notifications.id = delays.id AND state = 'pending' AND notifications.attempts = delays.attempts
    """,
    delays=_DelayRow,
)


async def defer(connection: Connection, delays: Sequence[tuple[Notification, str, float]]) -> None:
    """Set the next attempt after a delay in seconds, and the code of this failure, unless it was claimed again."""
    await _DEFER.execute(
        connection,
        delays=[
            _DelayRow(id=notification.id, attempts=notification.attempts, code=code, delay_s=delay_s)
            for notification, code, delay_s in delays
        ],
    )


@dataclass(frozen=True, slots=True)
class _ClaimRow:
    id: UUID
    attempts: int


_RELEASE_CLAIMS = Statement(
    """
    UPDATE notifications
    SET next_attempt_at = now(), attempts = notifications.attempts - 1
    FROM :claims
    WHERE notifications.id = claims.id AND state = 'pending' AND notifications.attempts = claims.attempts
    """,
    claims=_ClaimRow,
)


async def release_claims(connection: Connection, notifications: Sequence[Notification]) -> None:
    """Undo the claims of notifications that were not tried."""
    await _RELEASE_CLAIMS.execute(
        connection,
        claims=[_ClaimRow(id=notification.id, attempts=notification.attempts) for notification in notifications],
    )


_BACKLOG = Statement(
    """
    SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
    FROM notifications
    WHERE state = 'pending' AND toaddr <> ''
    """
)


async def backlog(connection: Connection) -> tuple[int, float]:
    """The number of pending notifications, and the age of the oldest in seconds."""
    row = await _BACKLOG.fetchrow(connection)
    assert row is not None, "an aggregate returns a row"
    return row["pending"], row["oldest_s"]


_USERS_WITHOUT_ADDRESS = Statement(
    """
    SELECT DISTINCT user_id
    FROM notifications
    WHERE state = 'pending' AND toaddr = '' AND user_id IS NOT NULL
    LIMIT :limit
    """
)


async def users_without_address(connection: Connection, limit: int) -> list[UUID]:
    """The recipients of pending notifications without an address."""
    rows = await _USERS_WITHOUT_ADDRESS.fetch(connection, limit=limit)
    return [row["user_id"] for row in rows]


_LOCK_WITHOUT_ADDRESS = Statement(
    f"""
    SELECT {_COLUMNS}
    FROM notifications
    WHERE state = 'pending' AND toaddr = '' AND user_id = ANY (:user_ids)
    ORDER BY id
    FOR UPDATE
    """
)


async def lock_without_address(connection: Connection, user_ids: Sequence[UUID]) -> list[Notification]:
    rows = await _LOCK_WITHOUT_ADDRESS.fetch(connection, user_ids=user_ids)
    return [_notification(row) for row in rows]


_SET_ADDRESS = Statement("UPDATE notifications SET toaddr = :toaddr WHERE id = :notification_id")


async def set_address(connection: Connection, notification_id: UUID, toaddr: str) -> None:
    await _SET_ADDRESS.execute(connection, notification_id=notification_id, toaddr=toaddr)


_SUPPRESS = Statement(
    "UPDATE notifications SET state = 'suppressed', code = :code WHERE id = :notification_id AND state = 'pending'"
)


async def suppress(connection: Connection, notification_id: UUID, code: str) -> None:
    await _SUPPRESS.execute(connection, notification_id=notification_id, code=code)


_FORGET = Statement(
    """
    UPDATE notifications
    SET toaddr = '',
        body = '',
        event_data = NULL,
        state = CASE WHEN state = 'pending' THEN 'suppressed' ELSE state END,
        code = CASE WHEN state = 'pending' THEN 'recipient_deleted' ELSE code END
    WHERE user_id = ANY (:user_ids)
    """
)
_FORGET_ADDRESSES = Statement(
    """
    UPDATE notifications
    SET toaddr = '', subject = '', body = ''
    WHERE user_id IS NULL AND toaddr = ANY (:addresses) AND state <> 'pending'
    """
)


async def forget(connection: Connection, user_ids: Sequence[UUID], addresses: Sequence[str]) -> None:
    """Drop the personal data of the notifications to deleted accounts. The rows stay.

    `addresses` are the former addresses, by which mails of administrators are found. A pending one of these is kept,
    since the address may belong to another person now.
    """
    await _FORGET.execute(connection, user_ids=user_ids)
    if addresses:
        await _FORGET_ADDRESSES.execute(connection, addresses=addresses)


_CONDITIONS = {"user_id": "user_id = :user_id", "order_id": "order_id = :order_id", "before": "id < :before"}
"""What each parameter of `read_page` requires of a notification."""


async def read_page(
    connection: Connection, *, user_id: UUID | None, order_id: UUID | None, before: UUID | None, limit: int
) -> list[Notification]:
    """Up to `limit` notifications with the given user, order and id below `before`, newest first."""
    given = {
        name: value
        for name, value in (("user_id", user_id), ("order_id", order_id), ("before", before))
        if value is not None
    }
    # Only given conditions are in the statement: PostgreSQL would not use the index for one that may be null.
    conditions = ["true", *(_CONDITIONS[name] for name in given)]
    statement = Statement(
        f"SELECT {_COLUMNS} FROM notifications WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit"
    )
    rows = await statement.fetch(connection, limit=limit, **given)
    return [_notification(row) for row in rows]


def _json(amounts: Amounts | None) -> str | None:
    if amounts is None:
        return None
    return msgspec.json.encode({name: sum_ for name, sum_ in asdict(amounts).items() if sum_ is not None}).decode()


def _notification(row: Row) -> Notification:
    values = dict(row)
    return Notification(**(values | {"kind": Kind(values["kind"]), "state": State(values["state"])}))
