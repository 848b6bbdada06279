"""`cartwright status`: which parts run, which are ready, and where everything is."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from cartwright.launcher import processes
from cartwright.launcher.part_views import PartView, part_views
from cartwright.launcher.parts import all_parts
from cartwright.launcher.system import System, open_system
from cartwright.launcher.watch import read_once
from cartwright.part_table import part_table


def status(data: Path, *, as_json: bool) -> bool:
    """Prints the state of the system at `data`; answers whether all of it is ready."""
    system = open_system(data)
    is_running = processes.is_supervised(system.layout.data)
    views = asyncio.run(read_once(system)) if is_running else part_views(all_parts(system), {}, {})
    is_ready = all(view.state == "ready" for view in views)
    if as_json:
        print(json.dumps(_as_json(system, views, is_running=is_running, is_ready=is_ready), indent=2))
        return is_ready
    console = Console(highlight=False, soft_wrap=True)
    console.print(part_table(views))
    if not is_running:
        console.print(f"\nNothing runs. Start it: cartwright up --data {data}")
    console.print(f"\ndata and logs   {system.layout.data}")
    console.print(f"databases       {system.cluster}")
    console.print(f"erase all       cartwright down --erase --data {data}")
    return is_ready


def _as_json(system: System, views: list[PartView], *, is_running: bool, is_ready: bool) -> dict[str, Any]:
    return {
        "running": is_running,
        "ready": is_ready,
        "gateway": system.gateway_url,
        "mailbox": system.mailbox_url,
        "port": system.ports.base,
        "rate_limit": system.rate_limit,
        "replicas": system.ports.replicas,
        "data": str(system.layout.data),
        "databases": str(system.cluster),
        "parts": [asdict(view) for view in views],
    }
