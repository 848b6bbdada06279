"""A mail as it goes over the wire: addresses that are safe on an SMTP command line, headers that cannot be injected."""

import re
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, HeaderRegistry, UniqueUnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr
from uuid import UUID

ADDRESS_LENGTH_MAX = 254
_LOCAL_LENGTH_MAX = 64
# RFC 5321 Dot-string, and RFC 6531 for letters beyond ASCII. Quoted local parts and address literals are refused:
# nobody has them, and they are where injections hide.
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_DOMAIN = re.compile(r"(?!-)[^\W_]([\w-]{0,61}[^\W_])?(\.[^\W_]([\w-]{0,61}[^\W_])?)*")


class _Subject(UniqueUnstructuredHeader):
    """A subject that keeps its spaces: Python's own folding loses some between words beyond ASCII (as of 3.11)."""

    def fold(self, *, policy: Policy) -> str:
        text = str(self)
        as_it_stands = text.isascii() and all(len(word) < 60 for word in text.split())
        header = Header(text, "us-ascii" if as_it_stands else "utf-8", header_name="Subject")
        return f"Subject: {header.encode(linesep=policy.linesep)}{policy.linesep}"


_headers = HeaderRegistry()
_headers.map_to_type("subject", _Subject)  # type: ignore[arg-type] # Mixed with BaseHeader by the registry.
_POLICY = SMTP.clone(header_factory=_headers)


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
        self.header = _mailbox(self.address, name)
        self.domain = self.header.domain

    def compose(
        self, notification_id: UUID, created_at: datetime, toaddr: str, subject: str, body: str
    ) -> EmailMessage:
        """The mail for a notification: the same one however often it is made, so that a repetition can be known."""
        message = EmailMessage(_POLICY)
        message["Message-ID"] = f"<{notification_id}@{self.domain}>"
        message["Date"] = format_datetime(created_at)
        message["From"] = self.header
        message["To"] = _mailbox(toaddr)
        message["Subject"] = one_line(subject)
        # RFC 3834: so that no out-of-office answer comes back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        return message


def _mailbox(address: str, name: str = "") -> Address:
    # In two parts, since the one-part form refuses letters beyond ASCII, which SMTPUTF8 allows.
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
