"""Keeps the mails of an embedded system: in files in mbox form (RFC 4155), which mail programs can open.

A file holds up to half of what is kept, and the oldest one goes as a whole. A file for each mail would be plainer, and
was what sending a mail cost most: making and removing files waits for the file system's own journal.
"""

import email.parser
import email.policy
import mailbox
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

MESSAGES_MAX = 10_000
RECIPIENTS_HEADER = "X-Envelope-To"


@dataclass(frozen=True)
class Summary:
    """`to` are the addresses of the SMTP envelope; `arrived` is RFC 3339 in UTC."""

    id: str
    arrived: str
    to: list[str]
    subject: str


class Mailbox:
    """The messages of a folder. One process writes it. The newest `messages_max` are kept, or up to half of it less.

    A message's id is the number of its file and its place in there.
    """

    def __init__(self, folder: Path, messages_max: int = MESSAGES_MAX) -> None:
        self._folder = folder
        self._file_messages_max = max(messages_max // 2, 1)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files = {int(path.stem): _opened(path) for path in sorted(folder.glob("*.mbox"))}
        self._read: dict[str, Summary] = {}

    def keep(self, recipients: Sequence[str], content: bytes) -> None:
        """Stores one message, whole or not at all. It is parsed only when somebody looks. Raises `OSError`."""
        envelope = "".join(f"{RECIPIENTS_HEADER}: {recipient}\r\n" for recipient in recipients)
        self._newest_file().add(envelope.encode() + content)

    def newest(self, recipient: str | None, count_max: int) -> list[Summary]:
        summaries = (self._summary(number, key) for number, key in self._newest_first())
        found = (
            summary
            for summary in summaries
            if recipient is None or recipient.lower() in (address.lower() for address in summary.to)
        )
        return list(islice(found, count_max))

    def count(self) -> int:
        return sum(len(file) for file in self._files.values())

    def text(self, message_id: str) -> str | None:
        """The headers that a person reads, and the text; None for a message that is not there."""
        number, _, key = message_id.partition("-")
        if not (number.isdecimal() and key.isdecimal()):
            return None
        file = self._files.get(int(number))
        if file is None or int(key) >= len(file):
            return None
        message = email.parser.BytesParser(EmailMessage, policy=email.policy.default).parsebytes(
            _bytes_of(file, int(key))
        )
        body = message.get_body(("plain", "html"))
        head = "".join(f"{name}: {message[name]}\n" for name in ("From", "To", "Date", "Subject") if message[name])
        return f"{head}\n{body.get_content() if body else ''}"

    def _newest_file(self) -> mailbox.mbox:
        newest = max(self._files, default=0)
        if newest in self._files and len(self._files[newest]) < self._file_messages_max:
            return self._files[newest]
        for number in sorted(self._files)[:-1]:
            self._remove(number)
        self._files[newest + 1] = _opened(self._folder / f"{newest + 1:06d}.mbox")
        return self._files[newest + 1]

    def _remove(self, number: int) -> None:
        self._files.pop(number).close()
        (self._folder / f"{number:06d}.mbox").unlink(missing_ok=True)
        self._read = {id_: summary for id_, summary in self._read.items() if int(id_.partition("-")[0]) != number}

    def _newest_first(self) -> Iterator[tuple[int, int]]:
        for number in sorted(self._files, reverse=True):
            for key in reversed(self._files[number].keys()):
                yield number, int(key)

    def _summary(self, number: int, key: int) -> Summary:
        message_id = f"{number}-{key}"
        if message_id not in self._read:
            self._read[message_id] = _summary(message_id, _bytes_of(self._files[number], key, with_first_line=True))
        return self._read[message_id]


def _opened(path: Path) -> mailbox.mbox:
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        # A crash may have cut off the last message, to whose last line the next one would be added.
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) and file.read(1) != b"\n":
            file.write(b"\n\n")
    return mailbox.mbox(path)


def _bytes_of(file: mailbox.mbox, key: int, *, with_first_line: bool = False) -> bytes:
    return file.get_bytes(key, from_=with_first_line)  # type: ignore[arg-type] # Keys are numbers, whatever is declared.


def _summary(message_id: str, message: bytes) -> Summary:
    first_line, _, message = message.partition(b"\n")
    headers = email.parser.BytesParser(policy=email.policy.default).parsebytes(message, headersonly=True)
    # As the module mailbox writes it: From, a sender, and the time of its writing in UTC as asctime() tells it.
    arrived = time.strptime(first_line.decode().split(maxsplit=2)[2])
    return Summary(
        id=message_id,
        arrived=time.strftime("%Y-%m-%dT%H:%M:%SZ", arrived),
        to=[str(address) for address in headers.get_all(RECIPIENTS_HEADER, [])],
        subject=str(headers.get("Subject", "")),
    )
