"""Sends mails to the SMTP server: several on one connection, each wait with a limit, each mail with an outcome.

SMTP is at-least-once. When the answer to a mail is lost, its outcome is unknown, and it is sent again with the same
Message-ID.
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
from notifications.clients.mail_composer import MailComposer, wire_address
from notifications.domain.notification import Notification
from notifications.settings import Settings

COMMAND_MAX_S = 10.0
"""For connecting, the greeting and the end of the session."""
ANSWER_MAX_S = 60.0
"""For each command of a mail. A server may scan a mail before it accepts it, for which RFC 5321 (4.5.3.2.6) allows ten
minutes. A shorter limit would send such a mail again and again."""
BEGIN_MAX_S = 15.0
"""After this time no further mail of a batch is begun."""
BATCH_MAX_S = 80.0
"""Shorter than the lease on the mails of the batch."""
_log = structlog.get_logger()


class Accepted(msgspec.Struct, frozen=True):
    """The server has accepted the mail."""


class Refused(msgspec.Struct, frozen=True):
    """The server will never accept it, or it cannot be sent at all."""

    code: str


class Delayed(msgspec.Struct, frozen=True):
    """The attempt failed, or its outcome is unknown. It must be tried again."""

    code: str


class NotTried(msgspec.Struct, frozen=True):
    """The batch ended before it was tried."""


Outcome: TypeAlias = Accepted | Refused | Delayed | NotTried


class MailServer:
    """Sends mails. After `finish` it ends with the present mail, so a stop does not wait for a batch."""

    def __init__(self, settings: Settings) -> None:
        self._composer = MailComposer(settings.mail_from)
        self._settings = settings
        self._finishing = False

    def finish(self) -> None:
        self._finishing = True

    async def deliver(self, notifications: Sequence[Notification]) -> list[Outcome]:
        """One outcome for each notification, in order, within `BATCH_MAX_S`."""
        outcomes: list[Outcome] = [NotTried()] * len(notifications)
        client = self._client()
        try:
            async with asyncio.timeout(BATCH_MAX_S):
                await self._deliver_each(client, notifications, outcomes)
                if client.is_connected:
                    await client.quit()
        except (TimeoutError, SMTPException, OSError) as error:
            _log.info("mail server connection lost", error=_name(error))
        finally:
            client.close()
        return outcomes

    async def _deliver_each(self, client: SMTP, notifications: Sequence[Notification], outcomes: list[Outcome]) -> None:
        begin_until = time.monotonic() + BEGIN_MAX_S
        for index, notification in enumerate(notifications):
            if self._finishing or time.monotonic() > begin_until:
                return
            if not client.is_connected and (failure := await self._connect(client)) is not None:
                # No mail caused it, and the next one would fail in the same way.
                outcomes[index:] = [failure] * (len(notifications) - index)
                return
            # The outcome until another is known, and when the time limit ends the attempt.
            outcomes[index] = Delayed("smtp_timeout")
            outcomes[index] = await self._send(client, notification)

    async def _connect(self, client: SMTP) -> Delayed | None:
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            _log.warning("mail server unreachable", error=_name(error))
            return Delayed("smtp_unavailable")
        return None

    async def _send(self, client: SMTP, notification: Notification) -> Outcome:
        try:
            toaddr = wire_address(notification.toaddr)
        except ValueError:
            return Refused("undeliverable_address")
        assert notification.created_at is not None, "it was read from the table"
        try:
            message = self._composer.compose(
                notification.id, notification.created_at, toaddr, notification.subject, notification.body
            )
            failpoint.hit("mail", "before call")
            beyond_ascii = not (toaddr + self._composer.address).isascii()
            await client.sendmail(
                self._composer.address,
                [toaddr],
                message,
                mail_options=["SMTPUTF8", "BODY=8BITMIME"] if beyond_ascii else None,
                timeout=ANSWER_MAX_S,
            )
            failpoint.hit("mail", "after call")
        except SMTPRecipientsRefused as refusal:
            return _by_reply(refusal.recipients[0].code, "recipient_refused")
        except SMTPSenderRefused as refusal:
            # An operator has to fix the rights of the sender. The mails wait for it.
            return Delayed(f"smtp_{refusal.code}")
        except SMTPNotSupported:
            # The local part is not ASCII and the server has no SMTPUTF8, which a retry does not change.
            return Refused("address_not_supported")
        except SMTPResponseException as refusal:
            return _by_reply(refusal.code, "message_refused")
        except (SMTPTimeoutError, SMTPServerDisconnected, OSError) as error:
            # The client has closed the connection, so the next mail gets a new one.
            return Delayed("smtp_timeout" if isinstance(error, TimeoutError) else "smtp_disconnected")
        except ValueError as error:
            _log.error("mail not composable", notification_id=str(notification.id), exc_info=error)
            return Refused("not_composable")
        return Accepted()

    def _client(self) -> SMTP:
        settings = self._settings
        return aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_username or None,
            password=settings.smtp_password or None,
            # Without it the client would call the resolver, which may take long.
            local_hostname=self._composer.domain,
            timeout=COMMAND_MAX_S,
            use_tls=settings.smtp_port == 465,
            start_tls=True if settings.smtp_username and settings.smtp_port != 465 else None,
        )


def _by_reply(reply: int, code: str) -> Outcome:
    """RFC 5321, 4.2.1: 5yz is permanent, 4yz is temporary."""
    return Refused(code) if reply >= 500 else Delayed(f"smtp_{reply}")


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
