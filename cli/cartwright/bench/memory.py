"""How much memory each part holds, and held at its peak, as the kernel counts it."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil

from cartwright.bench.costs import Meters

# What the goal is about; the mail sink and supervisor are there on a person's machine only.
NOT_COUNTED = ("mail", "supervisor")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """In MiB. `held` shares out what processes have in common (PSS), so that it adds up; `peak` (VmHWM) does not, and
    is the sum of a part's processes."""

    held: dict[str, float]
    peak: dict[str, float]
    held_total: float
    """Of the services, gateway and stores: without the mail sink and supervisor."""


def read(meters: Meters) -> Memory:
    held, peak = {}, {}
    for name, process in sorted(meters.part_processes().items()):
        family = [process] if name == "supervisor" else [process, *process.children(recursive=True)]
        held[name] = round(sum(_kib(family, "smaps_rollup", "Pss")) / 1024, 1)
        peak[name] = round(sum(_kib(family, "status", "VmHWM")) / 1024, 1)
    total = sum(mib for name, mib in held.items() if name not in NOT_COUNTED)
    return Memory(held=held, peak=peak, held_total=round(total, 1))


def _kib(family: Iterable[psutil.Process], file: str, field: str) -> Iterable[int]:
    for process in family:
        with contextlib.suppress(OSError):
            found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process.pid}/{file}").read_text(), re.MULTILINE)
            if found:
                yield int(found[1])
