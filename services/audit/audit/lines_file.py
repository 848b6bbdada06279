"""The journal once more, as a file of JSON lines: to be read with grep, shipped away, and compared with the database.

It follows the table by position, so the file holds what is committed and nothing else. What a crash left half written
is cut off at the next start, and the rest is written then. One process writes a file at a time, by its lock.
"""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from audit import store
from audit.chain import GENESIS, Entry, Head
from chassis import failpoint
from chassis.lifecycle import Loop
from chassis.persistence.database import Database

BATCH_MAX = 500
POLL_S = 1.0
GATHER_S = 0.2
_CHUNK_BYTES = 64 * 1024
_log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True):
    """One entry; `event` is the envelope. With `hash` at hand, a chain that was rewritten in the database shows."""

    position: int
    recorded_at: datetime | None
    hash: str
    event: msgspec.Raw


class LinesFile:
    """A `Part`. Call `wake` after a commit; else entries are in the file within `POLL_S`."""

    def __init__(self, path: Path, database: Database) -> None:
        self._path = path
        self._database = database
        self._file: int | None = None
        self._written = Head()
        self._loop = Loop("audit lines", self._turn, rest_s=POLL_S, gather_s=GATHER_S)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        self._close()

    def wake(self) -> None:
        self._loop.wake()

    async def _turn(self) -> bool:
        try:
            return await self._follow()
        except Exception:
            # A line may be torn now, as on a full disk, or the file not be compared yet. Opening it again mends both.
            self._close()
            raise

    async def _follow(self) -> bool:
        if self._file is None and not await self._resume():
            return False
        entries = await self._database.read(lambda c: store.read_entries_after(c, self._written.position, BATCH_MAX))
        if not entries:
            return False
        failpoint.hit("lines file", "before write")
        await asyncio.to_thread(self._append, entries)
        failpoint.hit("lines file", "after write")
        self._written = Head(entries[-1].position, entries[-1].hash)
        return len(entries) == BATCH_MAX

    async def _resume(self) -> bool:
        """Open the file behind its last whole line. False while another process writes it."""
        if not await asyncio.to_thread(self._open):
            return False
        position = self._written.position
        if position > 0 and await self._database.read(lambda c: store.read_head_at(c, position)) != self._written:
            # Of another database, or one of both was changed. Both are kept, for a person to compare.
            aside = self._path.with_name(f"{self._path.name}.differs-at-{position}")
            _log.error(
                "the file of lines does not fit the journal and is set aside", position=position, file=aside.name
            )
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
            # Another replica has set it aside between our opening it and our having the lock.
            os.close(file)
            return False
        self._file = file
        end, last_line = _last_whole_line(file)
        os.ftruncate(file, end)
        self._written = _head_in(last_line)
        return True

    def _append(self, entries: Sequence[Entry]) -> None:
        assert self._file is not None, "opened by the turn that writes"
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
    # Without white space between tokens, since a line break there would be one in the file.
    event = msgspec.Raw(msgspec.json.format(entry.envelope.encode(), indent=-1))
    return msgspec.json.encode(Line(entry.position, entry.recorded_at, entry.hash.hex(), event)) + b"\n"


def _last_whole_line(file: int) -> tuple[int, bytes]:
    """Where the last line that was written to its end ends, and that line; (0, b"") when there is none."""
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
        # No line of ours: it fits no journal, and will be set aside.
        return Head(2**62, GENESIS)
