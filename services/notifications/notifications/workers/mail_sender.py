"""Sends the notifications that are due.

Claimed rows are leased, so a crash loses none. A mail that was sent before the crash is sent again, with the same
Message-ID. A notification ends once and emits one event, in one transaction.
"""

import asyncio
from collections.abc import Sequence

from chassis.lifecycle import Loop
from chassis.persistence.database import Database
from chassis.telemetry import tracing
from notifications.clients.mail_server import Accepted, Delayed, MailServer, Outcome, Refused
from notifications.clients.payments import Payments
from notifications.complete_cancellations import complete_cancellations
from notifications.domain.notification import Notification
from notifications.record_deliveries import Delivery, record_deliveries, report_deliveries
from notifications.store import notifications
from notifications.templates import Templates

BATCH_MAX = 200
POLL_S = 0.5
GATHER_S = 0.1
CONNECTIONS = 4
LEASE_S = 90.0
"""Longer than a batch takes to be sent and recorded."""


class MailSender:
    """A `Part`. Call `wake` when a notification is due; without it the loop polls every `POLL_S`."""

    def __init__(self, database: Database, mail_server: MailServer, payments: Payments, templates: Templates) -> None:
        self._database = database
        self._mail_server = mail_server
        self._payments = payments
        self._templates = templates
        self._unrecorded: list[Delivery] = []
        self._loop = Loop("send mails", self.run_once, rest_s=POLL_S, gather_s=GATHER_S)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        self._mail_server.finish()
        await self._loop.stop()

    def wake(self) -> None:
        self._loop.wake()

    async def run_once(self) -> bool:
        """Send one batch. True when more may be due."""
        # Deliveries that the last run could not record come first: without that, these mails would be sent again.
        if not self._unrecorded:
            claimed = await self._database.run_statement(
                lambda connection: notifications.claim_due(connection, BATCH_MAX, LEASE_S)
            )
            if not claimed:
                return False
            mails = await complete_cancellations(self._database, self._payments, self._templates, claimed)
            with tracing.together("client", (("send mail", mail.traceparent) for mail in mails.ready)):
                delivered = await self._deliver(mails.ready)
            self._unrecorded = [*delivered, *((mail, Delayed(mails.reason)) for mail in mails.waiting)]
        deliveries = self._unrecorded
        await self._database.run(lambda connection: record_deliveries(connection, deliveries))
        self._unrecorded = []
        report_deliveries(deliveries)
        is_full = len(deliveries) == BATCH_MAX
        return is_full and any(isinstance(outcome, Accepted | Refused) for _, outcome in deliveries)

    async def _deliver(self, claimed: Sequence[Notification]) -> list[Delivery]:
        shares = [claimed[start::CONNECTIONS] for start in range(min(CONNECTIONS, len(claimed)))]
        outcomes = await asyncio.gather(*(self._mail_server.deliver(share) for share in shares))
        return [
            (notification, _final(notification, outcome))
            for share, share_outcomes in zip(shares, outcomes, strict=True)
            for notification, outcome in zip(share, share_outcomes, strict=True)
        ]


def _final(notification: Notification, outcome: Outcome) -> Outcome:
    if isinstance(outcome, Delayed) and notification.is_last_attempt():
        return Refused("attempts_exhausted")
    return outcome
