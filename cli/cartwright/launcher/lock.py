"""Lets one command at a time change a system: two starts at once would each see no system running."""

import contextlib
import fcntl
from collections.abc import Iterator

from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import Layout


@contextlib.contextmanager
def only_one(layout: Layout) -> Iterator[None]:
    """Raises CannotGoOn while another command is at it. A command that was killed holds nothing."""
    with layout.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotGoOn(f"Another cartwright command is starting or stopping {layout.data}. Try again.") from error
        yield
