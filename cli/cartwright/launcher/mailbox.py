"""Keeps the mails of an embedded system in files in mbox form, which mail programs can open.

A file holds up to half of what is kept, and the oldest one goes as a whole. A file for each mail would be plainer, and
was what sending a mail cost most: making and removing files waits for the file system's own journal.

The form is mboxrd: a first line `From SENDER TIME`, the message with a `>` more before each line that would look like
one, an empty line; lines end with LF.

The standard library's `mailbox.mbox` would slow the bench, where each mail waits for this store. Measured on two busy
cores in three runs, with mails of 0.7 KB: to append 2,000 mails and flush each took 1.4-2.8 s, here 0.03-0.1 s. The
library's `flush` includes an fsync, which a sink for test mails does not need. To open a file of 20,000 mails and read
the last 50 took 0.6-1.3 s, here 0.007-0.033 s with the files open already (the library then: 0.003-0.09 s). The library
also keeps in a buffer what a full disk has refused, and its quoting cannot be undone.
"""

import contextlib
import email.parser
import email.policy
import errno
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

MESSAGES_MAX = 10_000
RECIPIENTS_HEADER = "X-Envelope-To"
_ID = re.compile(r"([1-9]\d{0,8})-(\d{1,9})", re.ASCII)
_FIRST_LINE = re.compile(rb"^From \S+ (\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\n", re.MULTILINE | re.ASCII)
_LIKE_A_FIRST_LINE = re.compile(rb"^(?=>*From )", re.MULTILINE)
_QUOTED = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_END = b"\n\n"


ADDRESS_CHARACTERS_MAX = 254


def _comparable(address: str) -> str:
    """In lower case, with the domain in Punycode. What is too long for an address is compared as it is."""
    local, at, domain = address.lower().rpartition("@")
    if len(address) <= ADDRESS_CHARACTERS_MAX:
        with contextlib.suppress(UnicodeError):
            domain = domain.encode("idna").decode()
    return f"{local}{at}{domain}"


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
        self._files = {int(path.stem): _File(path) for path in folder.glob("[0-9]" * 6 + ".mbox")}
        self._read: dict[str, Summary] = {}

    def keep(self, recipients: Sequence[str], content: bytes) -> None:
        """Stores one message, whole or not at all. It is parsed only when it is read. Raises `OSError`."""
        envelope = "".join(f"{RECIPIENTS_HEADER}: {recipient}\n" for recipient in recipients)
        self._newest_file().append(envelope.encode() + content.replace(b"\r\n", b"\n"))

    def newest(self, recipient: str | None, count_max: int) -> list[Summary]:
        summaries = (self._summary(number, place) for number, place in self._newest_first())
        found = (
            summary
            for summary in summaries
            if recipient is None or _comparable(recipient) in map(_comparable, summary.to)
        )
        return list(islice(found, count_max))

    def count(self) -> int:
        return sum(file.count for file in self._files.values())

    def text(self, message_id: str) -> str | None:
        """The headers that a person reads, and the text; None for a message that is not there."""
        found = _ID.fullmatch(message_id)
        if found is None:
            return None
        file, place = self._files.get(int(found[1])), int(found[2])
        if file is None or place >= file.count:
            return None
        _, content = file.read(place)
        message = email.parser.BytesParser(EmailMessage, policy=email.policy.default).parsebytes(content)
        body = message.get_body(("plain", "html"))
        head = "".join(f"{name}: {message[name]}\n" for name in ("From", "To", "Date", "Subject") if message[name])
        return f"{head}\n{body.get_content() if body else ''}"

    def _newest_file(self) -> "_File":
        newest = max(self._files, default=0)
        if newest in self._files and self._files[newest].count < self._file_messages_max:
            return self._files[newest]
        for number in sorted(self._files)[:-1]:
            self._files.pop(number).remove()
            self._read = {id_: summary for id_, summary in self._read.items() if not id_.startswith(f"{number}-")}
        self._files[newest + 1] = _File(self._folder / f"{newest + 1:06d}.mbox")
        return self._files[newest + 1]

    def _newest_first(self) -> Iterator[tuple[int, int]]:
        for number in sorted(self._files, reverse=True):
            for place in reversed(range(self._files[number].count)):
                yield number, place

    def _summary(self, number: int, place: int) -> Summary:
        message_id = f"{number}-{place}"
        if message_id not in self._read:
            self._read[message_id] = _summary_of(message_id, *self._files[number].read(place))
        return self._read[message_id]


class _File:
    """One file. What a crash has cut off is dropped when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        content = path.read_bytes()
        self._bounds = [first_line.start() for first_line in _FIRST_LINE.finditer(content)]
        """Where each message begins, and where the last one ends."""
        end = len(content)
        if not content.endswith(_END):
            end = self._without_what_was_cut_off(content)
            os.ftruncate(self._file, end)
        self._bounds.append(end)

    def _without_what_was_cut_off(self, content: bytes) -> int:
        tail = content.rpartition(_END)[2]
        is_in_first_line = tail.startswith(b"From "[: len(tail)]) and _FIRST_LINE.match(tail) is None
        return len(content) - len(tail) if is_in_first_line or not self._bounds else self._bounds.pop()

    @property
    def count(self) -> int:
        return len(self._bounds) - 1

    def append(self, content: bytes) -> None:
        """Raises `OSError`, and leaves the file as it was then."""
        first_line = f"From cartwright@localhost {time.asctime(time.gmtime())}\n".encode()
        record = first_line + _LIKE_A_FIRST_LINE.sub(b">", content).rstrip(b"\n") + _END
        end = self._bounds[-1]
        try:
            if os.write(self._file, record) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file, end)
            raise
        self._bounds.append(end + len(record))

    def read(self, place: int) -> tuple[time.struct_time, bytes]:
        """When the message arrived, and its content."""
        start, end = self._bounds[place : place + 2]
        record = os.pread(self._file, end - start, start)
        first_line = _FIRST_LINE.match(record)
        assert first_line is not None, "a record begins with it"
        return time.strptime(first_line[1].decode()), _QUOTED.sub(b"", record[first_line.end() : -1])

    def remove(self) -> None:
        os.close(self._file)
        self._path.unlink(missing_ok=True)


def _summary_of(message_id: str, arrived: time.struct_time, content: bytes) -> Summary:
    headers = email.parser.BytesParser(policy=email.policy.default).parsebytes(content, headersonly=True)
    return Summary(
        id=message_id,
        arrived=time.strftime("%Y-%m-%dT%H:%M:%SZ", arrived),
        to=[str(address) for address in headers.get_all(RECIPIENTS_HEADER, [])],
        subject=str(headers.get("Subject", "")),
    )
