"""Stops the parts of a system, and erases its data."""

import contextlib
import shutil
from pathlib import Path

from cartwright.launcher import processes
from cartwright.launcher.system import System

# Each group of parts may need its own time to end: the gateway, then the services, then the stores.
STOP_S_MAX = 60


def stop(system: System) -> bool:
    """Ends supervisor, which ends the parts in their order, then whatever is left. Answers whether anything ran."""
    found = processes.find(system.layout.data)
    if not found.everything:
        return False
    if found.supervisor:
        processes.end([found.supervisor], STOP_S_MAX)
    stop_orphans(system.layout.data)
    return True


def stop_at_once(system: System) -> None:
    processes.kill(processes.find(system.layout.data).everything)


def stop_orphans(data: Path) -> None:
    """Ends the parts of a supervisor that was killed: services first, so that what they write to ends last."""
    orphans = processes.find(data).others
    stores = [process for process in orphans if processes.is_store(process)]
    processes.end([process for process in orphans if process not in stores], 10)
    processes.end(stores, 30)


def erase_data(system: System) -> None:
    """Removes what this system made, and the data folder itself unless something else lies in it.

    Raises OSError when something cannot be removed; the command can then be given again.
    """
    layout = system.layout
    if layout.postgres.is_symlink():
        layout.postgres.unlink()
    # A first start that was killed may have made the databases, and not yet the link to them.
    outside = [] if system.cluster == layout.postgres else [system.cluster.parent]
    # What the commands find the system by goes last.
    for folder in (*outside, layout.postgres, layout.logs, layout.mail, layout.nats, layout.audit, layout.run):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
    for file in (layout.accounts, layout.credentials, layout.lock):
        file.unlink(missing_ok=True)
    if not any(layout.data.iterdir()):
        layout.data.rmdir()
