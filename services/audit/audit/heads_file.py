"""The file of signed heads, one statement in a line. Replicas that share a folder append to one file."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_WHOLE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{86}", re.ASCII)
"""A statement: header, payload, and the 64 bytes of an ES256 signature (RFC 7518, 3.4), each in base64url."""


class HeadsFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, statement: str) -> None:
        """Append and sync. Raises `OSError`."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # The first line break ends a line that a crash or a full disk has torn.
            remaining = memoryview(f"\n{statement}\n".encode())
            while remaining:
                remaining = remaining[os.write(file, remaining) :]
            os.fsync(file)
        finally:
            os.close(file)

    def pages(self, size: int) -> Iterator[list[str]]:
        """The statements, `size` at a time. A torn line is skipped: the statement was appended again after it."""
        if not self._path.exists():
            return
        with self._path.open() as lines:
            statements = filter(_WHOLE.fullmatch, map(str.strip, lines))
            while page := list(islice(statements, size)):
                yield page
