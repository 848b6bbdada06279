"""Puts together what supervisor and the probes say of each part, and shows it as a table."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from cartwright.launcher.parts import Part
from cartwright.launcher.supervisor import PartState

COLOURS = {"ready": "green", "starting": "yellow", "restarting": "yellow", "failed": "red", "stopped": "red"}


@dataclass(frozen=True)
class PartView:
    """`state` is one of ready, starting, restarting (it ended at its start), failed (given up) and stopped."""

    name: str
    state: str
    address: str
    pid: int | None
    up_seconds: int | None


def part_views(parts: list[Part], states: Mapping[str, PartState], ready: Mapping[str, bool]) -> list[PartView]:
    return [_view(part, states.get(part.name), ready.get(part.name, False)) for part in parts]


def _view(part: Part, state: PartState | None, is_ready: bool) -> PartView:
    if state is None:
        return PartView(part.name, "stopped", part.address, None, None)
    match state.state:
        case "RUNNING" | "STARTING":
            name = "ready" if is_ready else "starting"
            return PartView(part.name, name, part.address, state.pid, max(int(time.time()) - state.started, 0))
        case "BACKOFF":
            name = "restarting"
        case "FATAL" | "UNKNOWN":
            name = "failed"
        case _:
            name = "stopped"
    return PartView(part.name, name, part.address, None, None)


def part_table(views: list[PartView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part", "state", "address", "process", "up"):
        table.add_column(heading)
    for view in views:
        colour = COLOURS[view.state]
        table.add_row(
            view.name,
            f"[{colour}]{view.state}[/{colour}]",
            view.address,
            "" if view.pid is None else str(view.pid),
            "" if view.up_seconds is None else _duration(view.up_seconds),
        )
    return table


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
