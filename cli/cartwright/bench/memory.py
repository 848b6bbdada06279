"""How much memory each part holds, and held at its peak, as the kernel counts it."""

import re
from pathlib import Path

import msgspec
import psutil

from cartwright.bench.costs import Meters

# What the goal is about; the mail sink and supervisor are there on a person's machine only.
NOT_COUNTED = ("mail", "supervisor")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """In MiB, of all processes of a part.

    `held` shares out the pages that processes have in common (PSS), so it adds up. `peak` is that of each process
    (VmHWM), with what they share on purpose, as PostgreSQL's its buffers, counted once.
    """

    held: dict[str, float]
    peak: dict[str, float]
    held_total: float
    """Of the services, gateway and stores: without the mail sink and supervisor."""


def read(meters: Meters) -> Memory:
    held, peak = {}, {}
    for name, process in sorted(meters.part_processes().items()):
        family = [process] if name == "supervisor" else [process, *process.children(recursive=True)]
        held[name] = round(sum(_kib(one, "smaps_rollup", "Pss") for one in family) / 1024, 1)
        shared = [_kib(one, "status", "RssShmem") for one in family]
        own = sum(_kib(one, "status", "VmHWM") for one in family) - sum(shared)
        peak[name] = round((own + max(shared)) / 1024, 1)
    total = sum(mib for name, mib in held.items() if name not in NOT_COUNTED)
    return Memory(held=held, peak=peak, held_total=round(total, 1))


def _kib(process: psutil.Process, file: str, field: str) -> int:
    """Zero of a process that has ended meanwhile."""
    try:
        text = Path(f"/proc/{process.pid}/{file}").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
