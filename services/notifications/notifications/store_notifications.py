"""The SQL about messages: written once, claimed by one sender at a time, ended once."""

# ruff: noqa: S608 -- What is put into statements stands in this file: columns and conditions, and no values.

from collections.abc import Sequence
from uuid import UUID

from chassis.database import Connection, Row
from notifications.notification import Kind, Notification, State

_COLUMNS = """id, kind, subject_key, order_id, user_id, toaddr, subject, body, state, code, correlation_id, traceparent,
              attempts, created_at, sent_at"""


async def insert(connection: Connection, notifications: Sequence[Notification]) -> set[UUID]:
    """Write those that are not there yet for their kind and key; answers their ids."""
    if not notifications:
        return set()
    rows = await connection.fetch(
        """
        INSERT INTO notifications (id, kind, subject_key, order_id, user_id, toaddr, subject, body, state, code,
                                   correlation_id, traceparent)
        SELECT id, kind, subject_key, order_id, user_id, toaddr, subject, body, state, code,
               correlation_id, traceparent
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::text[], $12::text[])
             AS letter (id, kind, subject_key, order_id, user_id, toaddr, subject, body, state, code,
                        correlation_id, traceparent)
        ORDER BY kind, subject_key
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        [notification.id for notification in notifications],
        [notification.kind for notification in notifications],
        [notification.subject_key for notification in notifications],
        [notification.order_id for notification in notifications],
        [notification.user_id for notification in notifications],
        [notification.toaddr for notification in notifications],
        [notification.subject for notification in notifications],
        [notification.body for notification in notifications],
        [notification.state for notification in notifications],
        [notification.code for notification in notifications],
        [notification.correlation_id for notification in notifications],
        [notification.traceparent for notification in notifications],
    )
    return {row["id"] for row in rows}


async def claim_due(connection: Connection, limit: int, lease_s: float) -> list[Notification]:
    """Take what is due, longest due first. Until the lease runs out nobody else does; a crash costs that long.

    What was not tried before comes first, so that what fails again and again holds up nothing else.
    """
    rows = await connection.fetch(
        f"""
        UPDATE notifications
        SET attempts = attempts + 1,
            next_attempt_at = now() + make_interval(secs => $2)
        WHERE id IN (
            SELECT id
            FROM notifications
            WHERE state = 'pending' AND toaddr <> '' AND next_attempt_at <= now()
            ORDER BY next_attempt_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        RETURNING {_COLUMNS}
        """,
        limit,
        lease_s,
    )
    return sorted(
        (_notification(row) for row in rows), key=lambda notification: (notification.attempts, notification.id)
    )


async def mark_sent(connection: Connection, ids: Sequence[UUID]) -> list[Notification]:
    """Those of `ids` that end with this, and had not ended before."""
    rows = await connection.fetch(
        f"""
        UPDATE notifications
        SET state = 'sent', code = NULL, sent_at = clock_timestamp()
        WHERE id = ANY($1::uuid[]) AND state = 'pending'
        RETURNING {_COLUMNS}
        """,
        ids,
    )
    return [_notification(row) for row in rows]


async def mark_failed(connection: Connection, codes: dict[UUID, str]) -> list[Notification]:
    """The same for those that are given up, with the code that says why."""
    rows = await connection.fetch(
        f"""
        UPDATE notifications
        SET state = 'failed', code = failure.reason
        FROM unnest($1::uuid[], $2::text[]) AS failure (failed_id, reason)
        WHERE id = failed_id AND state = 'pending'
        RETURNING {_COLUMNS}
        """,
        list(codes),
        list(codes.values()),
    )
    return [_notification(row) for row in rows]


async def put_off(connection: Connection, delays: Sequence[tuple[Notification, str, float]]) -> None:
    """Try again after a delay in seconds, with the code of this failure; unless somebody has claimed it since."""
    await connection.execute(
        """
        UPDATE notifications
        SET next_attempt_at = now() + make_interval(secs => delay.seconds), code = delay.reason
        FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::float8[]) AS delay (delayed_id, attempt, reason, seconds)
        WHERE id = delayed_id AND state = 'pending' AND attempts = delay.attempt
        """,
        [notification.id for notification, _, _ in delays],
        [notification.attempts for notification, _, _ in delays],
        [code for _, code, _ in delays],
        [seconds for _, _, seconds in delays],
    )


async def give_back(connection: Connection, notifications: Sequence[Notification]) -> None:
    """Undo the claim of what was not tried."""
    await connection.execute(
        """
        UPDATE notifications
        SET next_attempt_at = now(), attempts = attempts - 1
        FROM unnest($1::uuid[], $2::integer[]) AS claim (claimed_id, attempt)
        WHERE id = claimed_id AND state = 'pending' AND attempts = claim.attempt
        """,
        [notification.id for notification in notifications],
        [notification.attempts for notification in notifications],
    )


async def backlog(connection: Connection) -> tuple[int, float]:
    """How many have yet to be sent, and the age of the oldest of them in seconds."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
        FROM notifications
        WHERE state = 'pending' AND toaddr <> ''
        """
    )
    assert row is not None, "an aggregate answers a row"
    return row["pending"], row["oldest_s"]


async def users_without_address(connection: Connection, limit: int) -> list[UUID]:
    """People whom a message waits for that has no address yet."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT user_id
        FROM notifications
        WHERE state = 'pending' AND toaddr = '' AND user_id IS NOT NULL
        LIMIT $1
        """,
        limit,
    )
    return [row["user_id"] for row in rows]


async def lock_without_address(connection: Connection, user_ids: Sequence[UUID]) -> list[Notification]:
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM notifications
        WHERE state = 'pending' AND toaddr = '' AND user_id = ANY($1::uuid[])
        ORDER BY id
        FOR UPDATE
        """,
        user_ids,
    )
    return [_notification(row) for row in rows]


async def set_address(connection: Connection, notification_id: UUID, toaddr: str) -> None:
    await connection.execute("UPDATE notifications SET toaddr = $2 WHERE id = $1", notification_id, toaddr)


async def suppress(connection: Connection, notification_id: UUID, code: str) -> None:
    await connection.execute(
        "UPDATE notifications SET state = 'suppressed', code = $2 WHERE id = $1 AND state = 'pending'",
        notification_id,
        code,
    )


async def forget(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Drop what is personal in the messages of people who are gone. That there was a message stays."""
    await connection.execute(
        """
        UPDATE notifications
        SET toaddr = '',
            body = '',
            state = CASE WHEN state = 'pending' THEN 'suppressed' ELSE state END,
            code = CASE WHEN state = 'pending' THEN 'recipient_deleted' ELSE code END
        WHERE user_id = ANY($1::uuid[])
        """,
        user_ids,
    )


async def list_of_user(
    connection: Connection, user_id: UUID, order_id: UUID | None, before: UUID | None, limit: int
) -> list[Notification]:
    """Messages to a person, newest first; of one order, and those before the id `before`, if they are given."""
    # A condition that is there only when it is asked for: one that may be null would keep its index from being used.
    of_order, which = ("AND order_id = $4", [order_id]) if order_id is not None else ("", [])
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM notifications
        WHERE user_id = $1
          AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
          {of_order}
        ORDER BY id DESC
        LIMIT $3
        """,
        user_id,
        before,
        limit,
        *which,
    )
    return [_notification(row) for row in rows]


def _notification(row: Row) -> Notification:
    values = dict(row)
    return Notification(**(values | {"kind": Kind(values["kind"]), "state": State(values["state"])}))
