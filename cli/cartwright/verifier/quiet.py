"""Waits until the system is quiet: nothing is on its way, everything said was heard by all who listen.

A system in use is never quiet for long, and need not be: what is under way is then told, and not held against it.
"""

import asyncio
import time
from fnmatch import fnmatchcase

from cartwright.launcher.layout import PUBLISHERS
from cartwright.verifier.snapshots import Row, Snapshots

POLL_S = 0.25
NOTIFICATIONS = "notifications to be sent"
RECENT_EVENTS = 2_000
"""So many of a journal's latest events are looked for in the inboxes. What is older and was lost shows elsewhere."""

CONSUMED_BY = {
    "orders": (
        "user.registered",
        "user.updated",
        "user.deleted",
        "payment.voided",
        "payment.refunded",
    ),
    "catalog": ("order.confirmed", "order.cancelled"),
    "payments": ("order.confirmed", "order.cancelled", "user.deleted"),
    "notifications": (
        "user.registered",
        "user.updated",
        "user.deleted",
        "order.confirmed",
        "order.cancelled",
        "order.shipped",
        "payment.refunded",
        "email.requested",
    ),
    "audit": ("*",),
}
"""Which events each service listens to; a test compares with the contracts."""

_UNDER_WAY = (
    ("orders on their way", "orders", "SELECT count(*) FROM orders WHERE status IN ('pending', 'cancelling')"),
    ("payments to be settled", "payments", "SELECT count(*) FROM payments WHERE wanted IS NOT NULL"),
    ("refunds to be given", "payments", "SELECT count(*) FROM refunds WHERE state = 'pending'"),
    (
        "tokens to be erased",
        "payments",
        """
        SELECT count(*)
        FROM deleted_users
        JOIN payments USING (user_id)
        WHERE has_token AND wanted IS NULL AND state NOT IN ('intended', 'authorized')
        """,
    ),
    # One that failed before waits for the mail server, and may do so for hours.
    (
        NOTIFICATIONS,
        "notifications",
        "SELECT count(*) FROM notifications WHERE state = 'pending' AND attempts <= 1",
    ),
)
UNPUBLISHED = """
    SELECT count(*)
    FROM journal
    JOIN journal_relay AS relay ON relay.name = 'signed'
    WHERE (journal.transaction_id, journal.position) > (relay.transaction_id, relay.position)
"""
_RECENT = "SELECT event_id, type FROM journal ORDER BY position DESC LIMIT $1"
_UNCONSUMED = """
    SELECT count(*)
    FROM unnest($1::uuid[]) AS said (event_id)
    WHERE NOT EXISTS (SELECT FROM inbox WHERE inbox.event_id = said.event_id)
"""


async def wait_until_quiet(snapshots: Snapshots, wait_s: float) -> dict[str, int]:
    """What is still under way after `wait_s` at the most; empty once the system is quiet."""
    deadline = time.monotonic() + wait_s
    while under_way := await _look(snapshots):
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(POLL_S)
    return under_way


async def _look(snapshots: Snapshots) -> dict[str, int]:
    counts = {things: await snapshots.number(service, query) for things, service, query in _UNDER_WAY}
    for service in PUBLISHERS:
        counts[f"events of {service} to be published"] = await snapshots.number(service, UNPUBLISHED)
    recent: list[Row] = []
    for service in PUBLISHERS:
        recent += await snapshots.rows(service, _RECENT, RECENT_EVENTS)
    for service, patterns in CONSUMED_BY.items():
        for_it = [id_ for id_, type_ in recent if any(fnmatchcase(type_, pattern) for pattern in patterns)]
        counts[f"events to be heard by {service}"] = await snapshots.number(service, _UNCONSUMED, for_it)
    return {things: count for things, count in counts.items() if count}
