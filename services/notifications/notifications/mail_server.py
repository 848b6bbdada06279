"""Hands mails to the SMTP server: several on one connection, each wait with a limit, each mail with an outcome.

SMTP is at-least-once: when the answer to a mail is lost, nobody knows whether it was taken, and it is sent again, with
the same Message-ID.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TypeAlias

import aiosmtplib
import msgspec
import structlog
from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from chassis import failpoint
from notifications.mail import Sender, wire_address
from notifications.notification import Notification
from notifications.settings import Settings

COMMAND_S_MAX = 10.0
"""To connect, to greet, and to take leave."""
ANSWER_S_MAX = 60.0
"""To each command of a mail. A server may look through a mail before it takes it, for which RFC 5321 (4.5.3.2.6) grants
ten minutes; who hangs up sooner has it sent again and again."""
BEGIN_S_MAX = 15.0
"""Later than that no mail of a batch is begun."""
BATCH_S_MAX = 80.0
"""Below the lease on its mails."""
_log = structlog.get_logger()


class Taken(msgspec.Struct, frozen=True):
    """The server has taken it."""


class Refused(msgspec.Struct, frozen=True):
    """The server will never take it, or it cannot be sent at all."""

    code: str


class Delayed(msgspec.Struct, frozen=True):
    """It was tried and is to be tried again; the server may have it all the same."""

    code: str


class Untried(msgspec.Struct, frozen=True):
    """Its turn did not come."""


Outcome: TypeAlias = Taken | Refused | Delayed | Untried


class MailServer:
    """Sends mails. `finish` makes it leave off after the mail in hand, so that a stop need not wait for a batch."""

    def __init__(self, settings: Settings) -> None:
        self._sender = Sender(settings.mail_from)
        self._settings = settings
        self._finishing = False

    def finish(self) -> None:
        self._finishing = True

    async def deliver(self, notifications: Sequence[Notification]) -> list[Outcome]:
        """One outcome for each notification, in order, within `BATCH_S_MAX`."""
        outcomes: list[Outcome] = [Untried()] * len(notifications)
        client = self._client()
        try:
            async with asyncio.timeout(BATCH_S_MAX):
                await self._deliver_in_turn(client, notifications, outcomes)
                if client.is_connected:
                    await client.quit()
        except (TimeoutError, SMTPException, OSError) as error:
            _log.info("the connection to the mail server ended early", error=_name(error))
        finally:
            client.close()
        return outcomes

    async def _deliver_in_turn(
        self, client: SMTP, notifications: Sequence[Notification], outcomes: list[Outcome]
    ) -> None:
        begin_until = time.monotonic() + BEGIN_S_MAX
        for index, notification in enumerate(notifications):
            if self._finishing or time.monotonic() > begin_until:
                return
            if not client.is_connected and (failure := await self._connect(client)) is not None:
                # Not the fault of any of them, and the next would only find the same.
                outcomes[index:] = [failure] * (len(notifications) - index)
                return
            # As long as nothing else is known, which is also when the time is up in the middle of it.
            outcomes[index] = Delayed("smtp_timeout")
            outcomes[index] = await self._send(client, notification)

    async def _connect(self, client: SMTP) -> Delayed | None:
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            _log.warning("the mail server cannot be reached", error=_name(error))
            return Delayed("smtp_unavailable")
        return None

    async def _send(self, client: SMTP, notification: Notification) -> Outcome:
        try:
            toaddr = wire_address(notification.toaddr)
        except ValueError:
            return Refused("undeliverable_address")
        assert notification.created_at is not None, "it was read from the table"
        try:
            message = self._sender.compose(
                notification.id, notification.created_at, toaddr, notification.subject, notification.body
            )
            failpoint.hit("mail", "before call")
            beyond_ascii = not (toaddr + self._sender.address).isascii()
            await client.sendmail(
                self._sender.address,
                [toaddr],
                message,
                mail_options=["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii else None,
                timeout=ANSWER_S_MAX,
            )
            failpoint.hit("mail", "after call")
        except SMTPRecipientsRefused as refusal:
            return _by_reply(refusal.recipients[0].code, "recipient_refused")
        except SMTPSenderRefused as refusal:
            # That we may not send is for an operator to mend; the mails wait for it.
            return Delayed(f"smtp_{refusal.code}")
        except SMTPNotSupported:
            # What stands before the @ is beyond ASCII, and the server has no SMTPUTF8. It will not have it tomorrow.
            return Refused("address_not_supported")
        except SMTPResponseException as refusal:
            return _by_reply(refusal.code, "message_refused")
        except (SMTPTimeoutError, SMTPServerDisconnected, OSError) as error:
            # The client has closed the connection, so the next mail gets a new one.
            return Delayed("smtp_timeout" if isinstance(error, TimeoutError) else "smtp_disconnected")
        except ValueError as error:
            _log.error("a mail could not be composed", notification_id=str(notification.id), exc_info=error)
            return Refused("not_composable")
        return Taken()

    def _client(self) -> SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username or None,
            password=settings.smtp_password or None,
            # Given, since it would be asked of the resolver otherwise, which may take long.
            local_hostname=self._sender.domain,
            timeout=COMMAND_S_MAX,
            use_tls=settings.smtp_port == 465,
            start_tls=True if settings.smtp_username and settings.smtp_port != 465 else None,
        )


def _by_reply(reply: int, code: str) -> Outcome:
    """RFC 5321, 4.2.1: 5yz is for good, 4yz may pass."""
    return Refused(code) if reply >= 500 else Delayed(f"smtp_{reply}")


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
