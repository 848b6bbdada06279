"""Named places at which a test has the process die, as if killed: before and after each commit, call, publish and ack.

They stand in the few places by which every service works, so whatever is built upon these can be crashed there too.
Unless armed, a place costs a comparison with None.

A test arms them by the setting `CRASH_FOLDER`, which only development allows. In it, for a service such as orders:

- `orders.at` holds where to die: a name, then `:n` where it is the n-th pass. It is removed by who dies of it, so that
  the process that is started next lives.
- `orders.passed` gets a line for each place that was passed.
"""

import os
import re
import signal
from pathlib import Path

from chassis.settings import StatelessSettings


class _Drill:
    """Files are looked at anew at each place: what a test writes holds from the next place on, without a restart."""

    def __init__(self, folder: Path, service: str) -> None:
        self._at = folder / f"{service}.at"
        self._passed = folder / f"{service}.passed"

    def passes(self, name: str) -> None:
        with self._passed.open("a") as passed:
            passed.write(f"{name}\n")
        try:
            armed = re.fullmatch(r"(.+?)(?::(\d+))?\s*", self._at.read_text())
        except FileNotFoundError:
            return
        if armed is None or armed[1] != name:
            return
        passes_left = int(armed[2] or 1) - 1
        if passes_left:
            self._at.write_text(f"{name}:{passes_left}")
            return
        self._at.unlink()
        os.kill(os.getpid(), signal.SIGKILL)  # No `finally`, no flush, no farewell to anybody.


_drill: _Drill | None = None


def arm(service: str, settings: StatelessSettings) -> None:
    """Note and crash at places from now on, if the settings say so."""
    global _drill
    _drill = _Drill(Path(settings.crash_folder), service) if settings.crash_folder else None


def is_armed() -> bool:
    return _drill is not None


def hit(what: object, where: str) -> None:
    """The place `where`, such as "before commit", of `what`: a word, some words, or the function that does it."""
    if _drill is not None:
        _drill.passes(f"{_name(what)}: {where}")


def _name(what: object) -> str:
    if isinstance(what, str):
        return what
    if isinstance(what, tuple):
        return " ".join(what)
    # What is defined inside a function, often without a name, goes by the name of that function.
    qualified: str = getattr(what, "__qualname__", type(what).__qualname__)
    name = qualified.partition(".<locals>")[0]
    if not name.startswith("_"):
        return name
    # A private function such as `_write` stands in several modules of a service.
    return f"{what.__module__.rpartition('.')[2]}.{name}"
