"""The audit record as a file of JSON lines, to search with grep, to copy elsewhere and to compare with the database.

The worker appends the entries by position, so the file holds committed entries only. At the start it cuts off a line
that a crash has torn, and appends it again. A lock on the file lets one process write it at a time.
"""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from audit.domain.chain import GENESIS, Entry, Head
from audit.store import chain
from chassis import failpoint
from chassis.lifecycle import Loop
from chassis.persistence.database import Database

BATCH_MAX = 500
POLL_S = 1.0
GATHER_S = 0.2
_CHUNK_BYTES = 64 * 1024
_log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True):
    """One entry; `event` is the envelope. Its `hash` reveals a chain that was rewritten in the database."""

    position: int
    recorded_at: datetime | None
    hash: str
    event: msgspec.Raw


class LinesFile:
    """A `Part`. Call `wake` after a commit; without it the file follows within `POLL_S`."""

    def __init__(self, path: Path, database: Database) -> None:
        self._path = path
        self._database = database
        self._file: int | None = None
        self._written = Head()
        self._loop = Loop("lines file", self._run_once, rest_s=POLL_S, gather_s=GATHER_S)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        self._close()

    def wake(self) -> None:
        self._loop.wake()

    async def _run_once(self) -> bool:
        try:
            return await self._follow()
        except Exception:
            # A line may be torn, as on a full disk, or the file may not be compared yet. Opening it again repairs both.
            self._close()
            raise

    async def _follow(self) -> bool:
        if self._file is None and not await self._resume():
            return False
        entries = await self._database.read(lambda c: chain.read_entries_after(c, self._written.position, BATCH_MAX))
        if not entries:
            return False
        failpoint.hit("lines file", "before write")
        await asyncio.to_thread(self._append, entries)
        failpoint.hit("lines file", "after write")
        self._written = entries[-1].head
        return len(entries) == BATCH_MAX

    async def _resume(self) -> bool:
        """Open the file after its last whole line. False while another process has the lock."""
        if not await asyncio.to_thread(self._open):
            return False
        position = self._written.position
        if position > 0 and await self._database.read(lambda c: chain.read_head_at(c, position)) != self._written:
            # The file is of another database, or one of both was changed. Both are kept for an operator to compare.
            aside = self._path.with_name(f"{self._path.name}.differs-at-{position}")
            _log.error("lines file differs from the database and was renamed", position=position, file=aside.name)
            self._path.rename(aside)
            self._close()
            return await asyncio.to_thread(self._open)
        return True

    def _open(self) -> bool:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        if not _is_still_at(self._path, file):
            # Another replica has renamed it between the open and the lock.
            os.close(file)
            return False
        self._file = file
        end, last_line = _last_whole_line(file)
        os.ftruncate(file, end)
        self._written = _head_in(last_line)
        return True

    def _append(self, entries: Sequence[Entry]) -> None:
        assert self._file is not None, "the loop opens it before it appends"
        remaining = memoryview(b"".join(_line(entry) for entry in entries))
        while remaining:
            remaining = remaining[os.write(self._file, remaining) :]
        os.fsync(self._file)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is_still_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _line(entry: Entry) -> bytes:
    # Without white space between tokens: a line break between two tokens would break the line.
    event = msgspec.Raw(msgspec.json.format(entry.envelope.encode(), indent=-1))
    return msgspec.json.encode(Line(entry.position, entry.recorded_at, entry.hash.hex(), event)) + b"\n"


def _last_whole_line(file: int) -> tuple[int, bytes]:
    """The offset after the last whole line, and that line; (0, b"") when there is none."""
    position, tail = os.fstat(file).st_size, b""
    while position > 0 and tail.count(b"\n") < 2:
        start = max(0, position - _CHUNK_BYTES)
        tail = os.pread(file, position - start, start) + tail
        position = start
    whole = tail[: tail.rfind(b"\n") + 1]
    return position + len(whole), whole.rstrip(b"\n").rpartition(b"\n")[2]


def _head_in(line: bytes) -> Head:
    if not line:
        return Head()
    try:
        last = msgspec.json.decode(line, type=Line)
        return Head(last.position, bytes.fromhex(last.hash))
    except (msgspec.MsgspecError, ValueError):
        # Not a line of this service. The position exists in no database, so the file is renamed.
        return Head(2**62, GENESIS)
