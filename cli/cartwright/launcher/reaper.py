"""Cleans up after a process however it ends, `kill -9` included.

A small child process holds one end of a pipe. What has to be undone is written into the pipe when it is done; when the
pipe closes, the owner is gone, and the child undoes the lot in reverse. What the owner has itself undone by then, the
child finds gone.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

STOP_SECONDS_MAX = 10
COMMAND_SECONDS_MAX = 60


class Reaper:
    """Used as a context manager around everything that must not outlive this process."""

    def __enter__(self) -> Self:
        self._executor = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            # Ctrl-C in a terminal reaches the whole process group, and the executor has to survive its owner.
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._executor.stdin is not None
        self._executor.stdin.close()
        self._executor.wait(COMMAND_SECONDS_MAX + STOP_SECONDS_MAX)

    def stop_process(self, pid: int) -> None:
        # The time of creation tells the process from a later one with the same number.
        self._write({"pid": pid, "created": psutil.Process(pid).create_time()})

    def remove_folder(self, folder: Path) -> None:
        self._write({"folder": str(folder)})

    def run_command(self, command: list[str], *, while_exists: Path) -> None:
        """The command that undoes what is at `while_exists`; not run when nothing is there any more."""
        self._write({"command": command, "while_exists": str(while_exists)})

    def _write(self, line: dict[str, object]) -> None:
        assert self._executor.stdin is not None
        self._executor.stdin.write(json.dumps(line) + "\n")
        self._executor.stdin.flush()


def execute(lines: list[dict[str, object]]) -> None:
    for line in reversed(lines):
        match line:
            case {"pid": int(pid), "created": float(created)}:
                _stop_process(pid, created)
            case {"folder": str(folder)}:
                shutil.rmtree(folder, ignore_errors=True)
            case {"command": [*command], "while_exists": str(path)} if Path(path).exists():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run([str(word) for word in command], timeout=COMMAND_SECONDS_MAX, check=False)


def _stop_process(pid: int, created: float) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
        process = psutil.Process(pid)
        if process.create_time() != created:
            return
        children = process.children(recursive=True)
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs([process, *children], STOP_SECONDS_MAX)


if __name__ == "__main__":
    execute([json.loads(line) for line in sys.stdin])
