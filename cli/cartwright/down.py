"""`cartwright down`: stops a system, and erases it when told to."""

from pathlib import Path

from cartwright.launcher.lock import only_one
from cartwright.launcher.stop import erase_data, stop
from cartwright.launcher.system import open_system


def down(data: Path, *, erase: bool = False) -> str:
    """Stops the system at `data`; answers what was done, in a sentence. A stopped one stays as it is."""
    system = open_system(data)
    with only_one(system.layout):
        was_running = stop(system)
        if erase:
            erase_data(system)
    if erase:
        return f"The system at {data} is gone, with all its data."
    return f"The system at {data} has stopped. Its data stays." if was_running else f"No system was running at {data}."
