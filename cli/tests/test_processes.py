"""Which processes belong to a system, and that no other is ever touched."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cartwright.launcher import processes
from cartwright.testkit.servers import PostgresServer, wait_until

SHARED_MEMORY = Path("/proc/sysvipc/shm")
SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def makers_of_shared_memory() -> list[str]:
    """The ids of the processes that made the segments there are."""
    head, *segments = [line.split() for line in SHARED_MEMORY.read_text().splitlines()]
    return [segment[head.index("cpid")] for segment in segments]


def start(data: Path, code: str = SLEEP) -> "subprocess.Popen[str]":
    environment = {processes.MARK: str(data)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = start(tmp_path / "ours")
    yield process
    process.kill()
    process.wait(5)


@pytest.fixture
def of_another(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = start(tmp_path / "another")
    yield process
    process.kill()
    process.wait(5)


def test_only_the_processes_of_this_system_are_found(
    tmp_path: Path, ours: "subprocess.Popen[str]", of_another: "subprocess.Popen[str]"
) -> None:
    wait_until(lambda: bool(processes.find(tmp_path / "ours").others), "the process carries its mark")
    assert [process.pid for process in processes.find(tmp_path / "ours").everything] == [ours.pid]
    processes.end(processes.find(tmp_path / "ours").everything, 5)
    assert not psutil.pid_exists(ours.pid)
    assert of_another.poll() is None


def test_what_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    stubborn = start(tmp_path, STUBBORN)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    processes.end(processes.find(tmp_path).everything, 0.2)
    assert not psutil.pid_exists(stubborn.pid)


@pytest.mark.skipif(not SHARED_MEMORY.exists(), reason="the segments are listed nowhere")
def test_a_database_that_is_killed_leaves_no_shared_memory_behind_even_when_it_is_frozen(
    own_postgres: PostgresServer,
) -> None:
    server = psutil.Process(own_postgres.pid)
    assert str(server.pid) in makers_of_shared_memory()
    server.suspend()
    processes.kill([server])
    assert not server.is_running()
    assert str(server.pid) not in makers_of_shared_memory()
