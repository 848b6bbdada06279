"""Holds a run to figures that were recorded: to the ratio to pgbench of the same run, since machines differ."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cartwright.bench.report import Ratio
from cartwright.launcher.errors import CannotGoOn

LEAST_SHARE = 0.5
"""Of the recorded ratio. A short run on a shared machine differs from a long one on a quiet one, but not by so much."""


class Recorded(msgspec.Struct, frozen=True):
    """A report, of which only this is looked at."""

    ratios: list[Ratio]


def read(file: Path) -> Recorded:
    """Raises CannotGoOn where there is no such file, or it is no report."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Recorded)
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotGoOn(f"{file} is no report of an earlier run: {error}") from error


def slower(recorded: Sequence[Ratio], measured: Sequence[Ratio]) -> list[str]:
    """A sentence for each ratio that has fallen too far. Raises CannotGoOn when nothing could be compared."""
    before = {(ratio.kind, ratio.clients): ratio.ratio for ratio in recorded}
    pairs = [(now, before[now.kind, now.clients]) for now in measured if (now.kind, now.clients) in before]
    if not pairs:
        raise CannotGoOn("Nothing of this run was recorded: it takes purchases, pgbench, and as many clients as then.")
    return [
        f"{now.kind} at {now.clients} clients: {now.ratio:g} of pgbench, and it was {was:g}"
        for now, was in pairs
        if now.ratio < was * LEAST_SHARE
    ]
