"""Fills a system with orders by copying the rows of some that were placed in earnest, under ids of their own.

A million purchases take minutes so, not hours, and every promise holds on them as on any other: what a purchase writes
is not known here, but read from the tables, and only ids, positions and the hash chain are made anew. PostgreSQL's own
text format (COPY) carries all types through unchanged.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

# An id of a copy is a UUIDv7: the time, which stands for the number of the copy, then what the id is of, then the
# number. Only time and number change from copy to copy, so that both can be put into a finished text.
TIME, NUMBER = b"\x01", b"\x02"
ROLES_MAX = 4096
COPIES_AT_ONCE = 500
# No transaction is older. So the relay, which goes by the transactions that wrote the journal, has long passed them.
FIRST_TRANSACTION = b"3"


@dataclass(frozen=True)
class Copies:
    """So many copies, from the number `first` on. `first_ms` is the time that the copy number 0 claims."""

    first: int
    count: int
    first_ms: int

    def numbers(self) -> range:
        return range(self.first, self.first + self.count)

    def time_and_number(self, number: int) -> tuple[bytes, bytes]:
        ms = self.first_ms + number
        return b"%08x-%04x" % (ms >> 16, ms & 0xFFFF), b"%012x" % number


class Originals:
    """Turns the rows of originals into texts with holes. An original's own ids get the same holes everywhere."""

    def __init__(self, own_ids: Sequence[Sequence[str]], keys: Sequence[str]) -> None:
        """Of each original: the ids that are its own, all of 36 characters, and its idempotency key."""
        self._holes: list[dict[bytes, bytes]] = []
        for ids, key in zip(own_ids, keys, strict=True):
            holes = {id_.encode(): hole_of(role) for role, id_ in enumerate(ids)}
            assert len(holes) <= ROLES_MAX, "a role has three digits"
            self._holes.append(holes | {key.encode(): b"copy-" + NUMBER})
        self._ids = [re.compile(b"|".join(re.escape(id_) for id_ in holes)) for holes in self._holes]

    def with_holes(self, original: int, text: bytes) -> bytes:
        holes = self._holes[original]
        return self._ids[original].sub(lambda found: holes[found[0]], text)


def hole_of(role: int) -> bytes:
    return b"%b-7%03x-8000-%b" % (TIME, role, NUMBER)


def filled(text: bytes, time: bytes, number: bytes) -> bytes:
    return text.replace(TIME, time).replace(NUMBER, number)


async def copied_rows(originals: Sequence[bytes], copies: Copies) -> AsyncIterator[bytes]:
    """COPY's text of the copies of a table's rows; `originals` holds that of each original, with holes."""
    for numbers in _portions(copies):
        yield b"".join(
            filled(originals[number % len(originals)], *copies.time_and_number(number)) for number in numbers
        )


class Positions:
    """Places in a journal, given out copy by copy, from `next` on. `sizes` are the rows of each original."""

    def __init__(self, next_: int, sizes: Sequence[int]) -> None:
        self.next = next_
        self._sizes = sizes

    def take(self, number: int) -> int:
        """The first position of this copy."""
        found = self.next
        self.next += self._sizes[number % len(self._sizes)]
        return found


async def copied_journal(
    originals: Sequence[Sequence[bytes]], copies: Copies, positions: Positions
) -> AsyncIterator[bytes]:
    """As `copied_rows`, row by row, since before each stands its position."""
    for numbers in _portions(copies):
        lines = []
        for number in numbers:
            time, which = copies.time_and_number(number)
            rows = originals[number % len(originals)]
            for position, row in enumerate(rows, positions.take(number)):
                lines.append(b"%d\t%b" % (position, filled(row, time, which)))
        yield b"".join(lines)


@dataclass(frozen=True)
class Entry:
    """A row of audit's chain with holes: `envelope` is plain, `rest` is COPY's text of what is not of the chain.

    `journal` and `offset` say which of its order's rows in which journal it tells of.
    """

    event_id: bytes
    rest: bytes
    envelope: bytes
    journal: str
    offset: int


SEQUENCE = b"\x03"
"""In an envelope: the position in its journal."""


class Chain:
    """Audit's entries go on from `position` and `head`, which afterwards say where the chain ends."""

    def __init__(self, position: int, head: bytes) -> None:
        self.position = position
        self.head = head

    async def copied(
        self, originals: Sequence[Sequence[Entry]], copies: Copies, journals: Mapping[str, Positions]
    ) -> AsyncIterator[bytes]:
        """COPY's text: position, the rest, envelope, previous hash, hash."""
        for numbers in _portions(copies):
            lines: list[bytes] = []
            for number in numbers:
                place = copies.time_and_number(number)
                first = {service: positions.take(number) for service, positions in journals.items()}
                lines += [
                    self._line(entry, place, first[entry.journal] + entry.offset)
                    for entry in originals[number % len(originals)]
                ]
            yield b"".join(lines)

    def _line(self, entry: Entry, place: tuple[bytes, bytes], sequence: int) -> bytes:
        self.position += 1
        envelope = filled(entry.envelope, *place).replace(SEQUENCE, b"%d" % sequence)
        event_id = bytes.fromhex(filled(entry.event_id, *place).replace(b"-", b"").decode())
        previous = self.head
        # The formula is audit's: services/audit/audit/domain/chain.py.
        self.head = hashlib.sha256(previous + self.position.to_bytes(8, "big") + event_id + envelope).digest()
        return b"%d\t%b\t%b\t\\\\x%b\t\\\\x%b\n" % (
            self.position,
            filled(entry.rest, *place),
            escaped(envelope),
            previous.hex().encode(),
            self.head.hex().encode(),
        )


def escaped(text: bytes) -> bytes:
    """As COPY's text format wants it; JSON without line breaks has nothing else that it minds."""
    return text.replace(b"\\", b"\\\\") if b"\\" in text else text


def _portions(copies: Copies) -> Iterable[range]:
    numbers = copies.numbers()
    for start in range(numbers.start, numbers.stop, COPIES_AT_ONCE):
        yield range(start, min(start + COPIES_AT_ONCE, numbers.stop))
