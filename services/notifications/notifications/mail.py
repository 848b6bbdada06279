"""A mail as it goes over the wire: addresses that are safe on an SMTP command line, headers that cannot be injected."""

import re
from datetime import datetime
from email.header import Header
from email.mime.text import MIMEText
from email.policy import Compat32
from email.utils import format_datetime, parseaddr, quote
from typing import Any
from uuid import UUID

ADDRESS_LENGTH_MAX = 254
_LOCAL_LENGTH_MAX = 64
# RFC 5321 Dot-string, and RFC 6531 for letters beyond ASCII. Quoted local parts and address literals are refused:
# nobody has them, and they are where injections hide.
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_DOMAIN = re.compile(r"(?!-)[^\W_]([\w-]{0,61}[^\W_])?(\.[^\W_]([\w-]{0,61}[^\W_])?)*")


class _Wire(Compat32):
    """Parses no header when it is set, and looks for a place to break only those that are long or not plain.

    Ours are made here, and to parse, wrap and encode each of them costs most of a mail.
    """

    def fold_binary(self, name: str, value: Any) -> bytes:
        if isinstance(value, str) and len(name) + len(value) < _LINE_LENGTH_MAX and _PLAIN.fullmatch(value):
            return f"{name}: {value}{self.linesep}".encode("ascii")
        return super().fold_binary(name, value)


_LINE_LENGTH_MAX = 76
_PLAIN = re.compile(r"[\x20-\x7e]+")
_WIRE = _Wire(linesep="\r\n")
_PLAIN_LINES = re.compile(r"(?:[\t\x20-\x7e]{0,900}\n)*[\t\x20-\x7e]{0,900}")


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
        self.domain = self.address.rpartition("@")[2]
        display_name = f'"{quote(name)}" ' if name.isascii() else f"{Header(name, 'utf-8').encode()} "
        self._from = f"{display_name if name else ''}<{_as_utf8(self.address)}>"

    def compose(self, notification_id: UUID, created_at: datetime, toaddr: str, subject: str, body: str) -> bytes:
        """The mail for a notification: the same one however often it is made, so that a repetition can be known.

        `toaddr` has to be deliverable. An address beyond ASCII stands in it as UTF-8 (RFC 6532).
        """
        charset = "us-ascii" if _PLAIN_LINES.fullmatch(body) else "utf-8"  # The latter goes as base64.
        message = MIMEText(body, "plain", charset, policy=_WIRE)
        message["Message-ID"] = _as_utf8(f"<{notification_id}@{self.domain}>")
        message["Date"] = format_datetime(created_at)
        message["From"] = self._from
        message["To"] = _as_utf8(toaddr)
        message["Subject"] = _subject(one_line(subject))  # type: ignore[assignment] # The policy takes both.
        # RFC 3834: so that no out-of-office answer comes back.
        message["Auto-Submitted"] = "auto-generated"
        return message.as_bytes(policy=_WIRE)


def _as_utf8(text: str) -> str:
    # In the form in which the policy writes it as it is; text beyond ASCII would become an encoded word.
    return text.encode().decode("ascii", "surrogateescape")


def _subject(text: str) -> str | Header:
    if len(text) < _LINE_LENGTH_MAX - len("Subject") and _PLAIN.fullmatch(text):
        return text
    as_it_stands = text.isascii() and text.isprintable() and all(len(word) < 60 for word in text.split())
    return Header(text, "us-ascii" if as_it_stands else "utf-8", header_name="Subject")
