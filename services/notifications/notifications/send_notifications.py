"""Sends what is due, and writes down what became of it.

Claimed rows are leased, so that a crash in the middle loses nothing; a mail that went out before the crash goes out
again, with the same Message-ID. A message ends once, and says so once, in one transaction.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import structlog

from chassis import context
from chassis.lifecycle import Loop
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Database
from chassis.telemetry import tracing
from notifications import metrics, store_notifications
from notifications.complete_cancellations import CompleteCancellations
from notifications.mail_server import Delayed, MailServer, Outcome, Refused, Taken, Untried
from notifications.messages import NotificationEnded
from notifications.notification import ATTEMPTS_MAX, Notification, State, retry_delay_s

BATCH_MAX = 200
POLL_S = 0.5
GATHER_S = 0.1
CONNECTIONS = 4
LEASE_S = 90.0
"""Above what a batch may take to be sent, and to be written down."""
_log = structlog.get_logger()


Settled: TypeAlias = list[tuple[Notification, Outcome]]


class SendNotifications:
    """A `Part`. Call `wake` when something is due; else it is found within `POLL_S`."""

    def __init__(
        self,
        database: Database,
        mail_server: MailServer,
        complete: CompleteCancellations,
        after_commit: Callable[[], None],
    ) -> None:
        self._database = database
        self._mail_server = mail_server
        self._complete = complete
        self._after_commit = after_commit
        self._unsettled: Settled = []
        self._loop = Loop("send notifications", self.turn, rest_s=POLL_S, gather_s=GATHER_S)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        self._mail_server.finish()
        await self._loop.stop()

    def wake(self) -> None:
        self._loop.wake()

    async def turn(self) -> bool:
        """Send one batch. True when there may be more to send at once."""
        # What the database could not be told in the last turn comes first, or those mails would go out again.
        if not self._unsettled:
            claimed = await self._database.run_statement(
                lambda connection: store_notifications.claim_due(connection, BATCH_MAX, LEASE_S)
            )
            if not claimed:
                return False
            completed = await self._complete(claimed)
            with tracing.together("client", (("send mail", mail.traceparent) for mail in completed.ready)):
                delivered = await self._deliver(completed.ready)
            self._unsettled = [*delivered, *((mail, Delayed(completed.reason)) for mail in completed.waiting)]
        settled = self._unsettled
        await self._database.run(lambda connection: _settle(connection, settled))
        self._unsettled = []
        self._after_commit()
        _tell(settled)
        return len(settled) == BATCH_MAX and any(isinstance(outcome, Taken | Refused) for _, outcome in settled)

    async def _deliver(self, claimed: Sequence[Notification]) -> Settled:
        shares = [claimed[start::CONNECTIONS] for start in range(min(CONNECTIONS, len(claimed)))]
        outcomes = await asyncio.gather(*(self._mail_server.deliver(share) for share in shares))
        return [
            (notification, _given_up(notification, outcome))
            for share, of_share in zip(shares, outcomes, strict=True)
            for notification, outcome in zip(share, of_share, strict=True)
        ]


def _given_up(notification: Notification, outcome: Outcome) -> Outcome:
    if isinstance(outcome, Delayed) and notification.attempts >= ATTEMPTS_MAX:
        return Refused("attempts_exhausted")
    return outcome


async def _settle(connection: Connection, settled: Settled) -> None:
    sent = [notification.id for notification, outcome in settled if isinstance(outcome, Taken)]
    failed = {notification.id: outcome.code for notification, outcome in settled if isinstance(outcome, Refused)}
    ended = [
        *await store_notifications.mark_sent(connection, sent),
        *await store_notifications.mark_failed(connection, failed),
    ]
    await journal.append(connection, [_event(notification) for notification in ended])
    await store_notifications.put_off(
        connection,
        [
            (notification, outcome.code, retry_delay_s(notification.attempts))
            for notification, outcome in settled
            if isinstance(outcome, Delayed)
        ],
    )
    await store_notifications.give_back(
        connection, [notification for notification, outcome in settled if isinstance(outcome, Untried)]
    )


def _event(ended: Notification) -> Event:
    return Event(
        type="notification.sent" if ended.state is State.SENT else "notification.failed",
        subject=str(ended.id),
        data=NotificationEnded(ended.id, ended.order_id, ended.user_id, ended.kind, ended.toaddr, ended.code),
        correlation_id=ended.correlation_id,
        traceparent=ended.traceparent,
    )


def _tell(settled: Settled) -> None:
    for notification, outcome in settled:
        with context.working_on(notification.correlation_id, notification.traceparent):
            details = {"notification_id": str(notification.id), "kind": notification.kind}
            match outcome:
                case Taken():
                    metrics.MAILS.labels("sent").inc()
                    _log.info("mail sent", **details)
                case Refused(code):
                    metrics.MAILS.labels("given_up").inc()
                    _log.warning("mail given up", code=code, **details)
                case Delayed(code):
                    metrics.MAILS.labels("put_off").inc()
                    _log.info("mail put off", code=code, attempts=notification.attempts, **details)
