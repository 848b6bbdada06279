"""Records the outcomes of attempts to send mails, and emits the events of those that ended."""

from collections.abc import Sequence
from typing import TypeAlias

import structlog

from chassis import context
from chassis.messaging import journal
from chassis.persistence.database import Connection
from notifications import events, metrics
from notifications.clients.mail_server import Accepted, Delayed, NotTried, Outcome, Refused
from notifications.domain.notification import Notification, NotificationEnded, retry_delay_s
from notifications.store import notifications

Delivery: TypeAlias = tuple[Notification, Outcome]
_log = structlog.get_logger()


async def record_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """A notification ends once and emits one event, in this transaction. A delayed one gets a time to try it again."""
    ended = [end for notification, outcome in deliveries if (end := _end(notification, outcome)) is not None]
    ended_ids = await notifications.end(connection, [end.notification for end in ended])
    await journal.append(
        connection, [events.notification_ended(end) for end in ended if end.notification.id in ended_ids]
    )
    await notifications.defer(
        connection,
        [
            (notification, outcome.code, retry_delay_s(notification.attempts))
            for notification, outcome in deliveries
            if isinstance(outcome, Delayed)
        ],
    )
    await notifications.release_claims(
        connection, [notification for notification, outcome in deliveries if isinstance(outcome, NotTried)]
    )


def _end(notification: Notification, outcome: Outcome) -> NotificationEnded | None:
    match outcome:
        case Accepted():
            return notification.succeed()
        case Refused(code):
            return notification.fail(code)
        case _:
            return None


def report_deliveries(deliveries: Sequence[Delivery]) -> None:
    """In the log and in the metrics, after the commit."""
    for notification, outcome in deliveries:
        with context.working_on(notification.correlation_id, notification.traceparent):
            details = {"notification_id": str(notification.id), "kind": notification.kind}
            match outcome:
                case Accepted():
                    metrics.MAILS.labels("sent").inc()
                    _log.info("mail sent", **details)
                case Refused(code):
                    metrics.MAILS.labels("given_up").inc()
                    _log.warning("mail failed", code=code, **details)
                case Delayed(code):
                    metrics.MAILS.labels("put_off").inc()
                    _log.info("mail deferred", code=code, attempts=notification.attempts, **details)
