"""The bytes of a mail: addresses that are safe in an SMTP command, and headers that no text can inject."""

import re
from base64 import encodebytes
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, parseaddr, quote
from uuid import UUID

from chassis.values import email_address
from chassis.values.visible_text import in_one_line

NAME_LENGTH_MAX = 60
_LINE_END = "\r\n"
_LINE_LENGTH_MAX = 76
_PLAIN = re.compile(r"[\x20-\x7e]+")
_PLAIN_LINES = re.compile(r"(?:[\t\x20-\x7e]{0,900}\n)*[\t\x20-\x7e]{0,900}")


def wire_address(address: str) -> str:
    """The address for mail servers: in ASCII with the domain in Punycode, where such a form exists.

    Another address needs a server with SMTPUTF8 (RFC 6531). Every domain is allowed: accounts of earlier releases may
    have one that is refused today. Raises `ValueError` for text that is no address and not safe in an SMTP command.
    """
    parsed = email_address.parse(address, special_use=True)
    return parsed.ascii or str(parsed)


class MailComposer:
    """Composes the mails of one sender. Raises `ValueError` unless `mail_from` is an address or `Name <address>`."""

    def __init__(self, mail_from: str) -> None:
        name, address = parseaddr(mail_from)
        try:
            if len(name) > NAME_LENGTH_MAX or not name.isprintable():
                raise ValueError("The name is too long, or is no line.")
            self.address = wire_address(address)
            self.domain = email_address.parse(address, special_use=True).domain_ascii
        except ValueError as error:
            raise ValueError(
                "MAIL_FROM has to be an address, or an address in angle brackets after a name of up to "
                f"{NAME_LENGTH_MAX} characters. {error}"
            ) from None
        display_name = (
            f'"{quote(name)}"'
            if name.isascii()
            else Header(name, "utf-8", header_name="From").encode(linesep=_LINE_END)
        )
        self._from = f"{display_name} <{self.address}>" if name else f"<{self.address}>"

    def compose(self, notification_id: UUID, created_at: datetime, toaddr: str, subject: str, body: str) -> bytes:
        """The mail for a notification. It is the same each time, so a mail program recognizes a repetition.

        `toaddr` is a `wire_address`. An address beyond ASCII is UTF-8 in the mail (RFC 6532).
        The headers are written here because a message object of the standard library takes ten times as long.
        """
        if _PLAIN_LINES.fullmatch(body):
            charset, encoding, text = "us-ascii", "7bit", body
        else:
            charset, encoding, text = "utf-8", "base64", encodebytes(body.encode()).decode()
        lines = (
            f"Message-ID: <{notification_id}@{self.domain}>",
            f"Date: {format_datetime(created_at)}",
            f"From: {self._from}",
            f"To: {toaddr}",
            f"Subject: {_subject(in_one_line(subject))}",
            # RFC 3834: prevents an out-of-office answer.
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            f'Content-Type: text/plain; charset="{charset}"',
            f"Content-Transfer-Encoding: {encoding}",
            "",
            text.replace("\n", _LINE_END),
        )
        return _LINE_END.join(lines).encode()


def _subject(text: str) -> str:
    # A mail program would decode text in the form of an encoded word (RFC 2047), with its line breaks.
    is_plain = _PLAIN.fullmatch(text) is not None and "=?" not in text
    if is_plain and len(text) < _LINE_LENGTH_MAX - len("Subject"):
        return text
    is_ascii_header = is_plain and all(len(word) < 60 for word in text.split())
    return Header(text, "us-ascii" if is_ascii_header else "utf-8", header_name="Subject").encode(linesep=_LINE_END)
