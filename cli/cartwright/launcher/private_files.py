"""Writes files that only their owner may read, whole or not at all."""

import os
import secrets
from pathlib import Path


def make_private_folder(path: Path) -> None:
    """Makes the folder with mode 0700. One that exists keeps its mode: it may be a person's own."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replaces `path` (mode 0600) in one step: a reader, or a crash, meets the old file or the new one."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
