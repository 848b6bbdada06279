"""Finds the processes of one system by a mark in their environment, and ends those without a supervisor.

Process ids are written down nowhere: after a crash they may belong to other programs. Supervisor starts every part with
the mark, so a process with the mark is ours, and one without it is left alone.
"""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "CARTWRIGHT_DATA"
STORES = ("postgres", "nats-server")
SUPERVISOR_MODULE = "cartwright.launcher.supervisord"
QUIT_SECONDS_MAX = 5


@dataclass(frozen=True)
class Found:
    """The processes of a system: its supervisor, when that runs, and all others."""

    supervisor: psutil.Process | None
    others: list[psutil.Process]

    @property
    def everything(self) -> list[psutil.Process]:
        return [*([self.supervisor] if self.supervisor else []), *self.others]


def find(data: Path) -> Found:
    supervisors = {}
    others = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) != str(data) or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if SUPERVISOR_MODULE in process.cmdline():
                supervisors[process.pid] = (process, process.ppid())
            else:
                others.append(process)
    # A part that is just being started still has the command line of supervisor, of which it is a child.
    first = next((process for process, parent in supervisors.values() if parent not in supervisors), None)
    return Found(first, others + [process for process, _ in supervisors.values() if process != first])


def end(processes: list[psutil.Process], seconds_max: float) -> None:
    """Asks each to end, and kills those that do not within the limit."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            # PostgreSQL waits for its clients after TERM, and not after INT.
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=seconds_max)
    kill(alive)


def kill(processes: list[psutil.Process]) -> None:
    """Ends each at once, whatever it is at, and also when it is frozen."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "postgres":
                # Killed, it leaves a segment of shared memory behind, of which a machine has but some thousands.
                process.send_signal(signal.SIGQUIT)
                process.send_signal(signal.SIGCONT)
            else:
                process.kill()
    _, alive = psutil.wait_procs(processes, timeout=QUIT_SECONDS_MAX)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)


def is_store(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() in STORES
    return False


def is_supervised(data: Path) -> bool:
    return find(data).supervisor is not None
