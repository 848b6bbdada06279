"""`cartwright logs`: the lines of all parts in the order of time, or those of one purchase.

Every part writes to a file of its own, which supervisor rotates: JSON lines, but for PostgreSQL, the broker and
supervisor itself.
"""

import contextlib
import heapq
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import typer

from cartwright.launcher.layout import Layout
from cartwright.launcher.system import open_system

POLL_SECONDS = 0.2
LEVEL_COLOURS = {"debug": "blue", "warning": "yellow", "error": "red", "critical": "red"}
SHOWN_APART = ("timestamp", "level", "event", "service", "correlation_id", "trace_id", "exception")

# "2026-01-31T12:00:00.123456Z", "2026-01-31 12:00:00.123 UTC", "2026/01/31 12:00:00.123456", "... 12:00:00,123": every
# part is told to write UTC.
TIME = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?")
TIME_SEARCHED_IN = 60


@dataclass(frozen=True)
class GatewayClient:
    """`timestamp` is RFC 3339 in UTC with microseconds, so that it sorts as text. `event` is None for a plain line."""

    timestamp: str
    part: str
    text: str
    event: dict[str, Any] | None


class PartLog:
    """The log of one part: the rotated files, oldest first, then the current one as it grows and is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.name.removesuffix(".log")
        self._timestamp = ""
        self._unfinished = b""
        self._files: list[BinaryIO] = []
        for candidate in [*reversed(rotated(path)), path]:
            with contextlib.suppress(FileNotFoundError):
                self._files.append(candidate.open("rb"))

    def new_lines(self) -> Iterator[GatewayClient]:
        """The lines written since the last call; the first call answers all."""
        self._notice_rotation()
        while self._files:
            for raw in self._files[0]:
                if not raw.endswith(b"\n"):
                    self._unfinished += raw
                    break
                yield self._line((self._unfinished + raw).decode(errors="replace").rstrip("\n"))
                self._unfinished = b""
            if len(self._files) == 1:
                return
            self._files.pop(0).close()

    def _notice_rotation(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            current = self._path.stat()
            if not self._files or not _is_same(self._files[-1], current.st_dev, current.st_ino):
                self._files.append(self._path.open("rb"))

    def _line(self, text: str) -> GatewayClient:
        event = None
        if text.startswith("{"):
            with contextlib.suppress(ValueError):
                event = json.loads(text)
        written = str(event.get("timestamp", "")) if event else text[:TIME_SEARCHED_IN]
        if found := TIME.search(written):
            year, month, day, clock, fraction = found.groups()
            self._timestamp = f"{year}-{month}-{day}T{clock}.{(fraction or '')[:6]:0<6}Z"
        # A line without a time, of a traceback for example, belongs to the line before it.
        return GatewayClient(self._timestamp, self._part, text, event)


def _is_same(file: BinaryIO, device: int, inode: int) -> bool:
    status = os.fstat(file.fileno())
    return (status.st_dev, status.st_ino) == (device, inode)


def rotated(path: Path) -> list[Path]:
    """The older files of a log, newest first: supervisor numbers them from 1."""
    numbered = [other for other in path.parent.glob(f"{path.name}.*") if other.suffix[1:].isdigit()]
    return sorted(numbered, key=lambda other: int(other.suffix[1:]))


class SystemLogs:
    """The logs of all parts as one."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.logs
        self._parts: dict[Path, PartLog] = {}

    def new_lines(self) -> Iterator[GatewayClient]:
        for path in sorted(self._folder.glob("*.log")):
            if path not in self._parts:
                self._parts[path] = PartLog(path)
        return heapq.merge(*(part.new_lines() for part in self._parts.values()), key=lambda line: line.timestamp)


def of_correlation(lines: Iterable[GatewayClient], correlation_id: str) -> Iterator[GatewayClient]:
    return (line for line in lines if line.event is not None and line.event.get("correlation_id") == correlation_id)


def logs(data: Path, correlation_id: str | None, *, follow: bool) -> None:
    """Prints what was written so far, and with `follow` what is written from then on, until Ctrl-C."""
    system_logs = SystemLogs(open_system(data).layout)
    show = readable if sys.stdout.isatty() else plain
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            lines = system_logs.new_lines()
            for line in lines if correlation_id is None else of_correlation(lines, correlation_id):
                sys.stdout.write(show(line) + "\n")
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(POLL_SECONDS)


def plain(line: GatewayClient) -> str:
    """For programs: the JSON as it was written."""
    return line.text if line.event is not None else f"{line.part}: {line.text}"


def readable(line: GatewayClient) -> str:
    """For people: the time, who, what, and the rest as key=value."""
    part = typer.style(f"{line.part:<15}", fg="cyan")
    if line.event is None:
        return f"{line.timestamp[11:23]:<12} {part} {line.text}"
    level = str(line.event.get("level", ""))
    shown_level = typer.style(f"{level:<8}", fg=LEVEL_COLOURS.get(level, "green"))
    rest = " ".join(f"{key}={_brief(value)}" for key, value in line.event.items() if key not in SHOWN_APART)
    shown = f"{line.timestamp[11:23]:<12} {part} {shown_level} {line.event.get('event', '')}  "
    exception = line.event.get("exception")
    return shown + typer.style(rest, dim=True) + (f"\n{exception}" if exception else "")


def _brief(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
