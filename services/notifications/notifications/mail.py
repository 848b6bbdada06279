"""A mail as it goes over the wire: addresses that are safe on an SMTP command line, headers that cannot be injected."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from uuid import UUID

ADDRESS_LENGTH_MAX = 254
_LOCAL_LENGTH_MAX = 64
# RFC 5321 Dot-string, and RFC 6531 for letters beyond ASCII. Quoted local parts and address literals are refused:
# nobody has them, and they are where injections hide.
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_DOMAIN = re.compile(r"(?!-)[^\W_]([\w-]{0,61}[^\W_])?(\.[^\W_]([\w-]{0,61}[^\W_])?)*")


def is_deliverable(address: str) -> bool:
    """Whether `address` has the form of a mailbox that mail can be sent to."""
    local, at, domain = address.rpartition("@")
    return bool(
        at
        and len(address) <= ADDRESS_LENGTH_MAX
        and len(local) <= _LOCAL_LENGTH_MAX
        and _LOCAL.fullmatch(local)
        and _DOMAIN.fullmatch(domain)
    )


def one_line(text: str) -> str:
    """`text` with every run of white space, line breaks among it, made one space."""
    return " ".join(text.split())


class Sender:
    """Who the mails are from. Raises `ValueError` for a setting that is no `Name <address>` or address."""

    def __init__(self, mail_from: str) -> None:
        name, self.address = parseaddr(mail_from)
        if not is_deliverable(self.address):
            raise ValueError("MAIL_FROM has to be an address, or a name with an address in angle brackets.")
        self.header = Address(name, addr_spec=self.address)
        self.domain = self.header.domain

    def compose(
        self, notification_id: UUID, created_at: datetime, toaddr: str, subject: str, body: str
    ) -> EmailMessage:
        """The mail for a notification: the same one however often it is made, so that a repetition can be known."""
        message = EmailMessage()
        message["Message-ID"] = f"<{notification_id}@{self.domain}>"
        message["Date"] = format_datetime(created_at)
        message["From"] = self.header
        message["To"] = Address(addr_spec=toaddr)
        message["Subject"] = one_line(subject)
        # RFC 3834: so that no out-of-office answer comes back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        return message
