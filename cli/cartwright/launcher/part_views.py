"""Joins what supervisor and the probes report of each part."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from cartwright.launcher.parts import Part
from cartwright.launcher.supervisor import PartState


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
