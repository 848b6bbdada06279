"""What supervisord does in place of executing a Python program: the fork has to look, behave and end like one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from cartwright.launcher.layout import SERVICES

SECONDS_MAX = 30

# Runs its arguments as supervisord does in a fork.
START = """
import os, shutil, signal, sys
os.environ["SPT_NOENV"] = "1"
from cartwright.launcher.supervisord import ForkingOptions
signal.signal(signal.SIGTERM, lambda *_: None)
if os.fork() == 0:
    program = shutil.which(sys.argv[1])
    ForkingOptions().execve(program, sys.argv[1:], {"PATH": os.environ["PATH"], "GIVEN": "by supervisord"})
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def started(
    module: str, folder: Path, text: str, before: Sequence[str] = (), more: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """What becomes of the program `module`, whose text this is, when supervisord starts it."""
    (folder / f"{module}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-P", "-c", START, *before, sys.executable, "-P", "-m", module, *more],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )


def told_by(script: str, *arguments: str) -> str:
    """What a process that runs `script`, and has to end well, writes."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, check=True
    ).stdout


def test_a_program_gets_the_arguments_the_environment_and_the_signals_that_an_executed_one_gets(tmp_path: Path) -> None:
    ended = started(
        "program",
        tmp_path,
        "import json, os, signal, sys\n"
        "print(json.dumps([__name__, sys.argv[1:], dict(os.environ), signal.getsignal(signal.SIGTERM),\n"
        "                  signal.getsignal(signal.SIGINT) is signal.default_int_handler, os.nice(0)]))\n",
        before=("nice", "-n", "7"),
        more=("--port", "1"),
    )

    assert ended.returncode == 0, ended.stderr
    name, arguments, environment, on_term, on_interrupt, niceness = json.loads(ended.stdout)
    assert (name, arguments) == ("__main__", ["--port", "1"])
    assert environment == {"PATH": os.environ["PATH"], "GIVEN": "by supervisord"}
    assert on_term == signal.SIG_DFL
    assert on_interrupt
    assert niceness == os.nice(0) + 7


@pytest.mark.parametrize(
    ("text", "status", "complaint"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit(None)", 0, ""),
        ("import sys; sys.exit('orders: DATABASE_URL is missing.')", 1, "orders: DATABASE_URL is missing.\n"),
        ("raise ValueError('gone wrong')", 1, "ValueError: gone wrong\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_a_program_ends_with_the_status_and_the_words_that_an_executed_one_ends_with(
    text: str, status: int, complaint: str, tmp_path: Path
) -> None:
    ended = started("program", tmp_path, text)

    assert ended.returncode == status % 256
    assert ended.stderr.endswith(complaint)
    assert bool(ended.stderr) == bool(complaint)


def test_a_program_is_told_apart_by_its_command_line_and_found_by_its_environment(tmp_path: Path) -> None:
    ended = started(
        "program",
        tmp_path,
        "from pathlib import Path\n"
        "print(Path('/proc/self/cmdline').read_text().rstrip(chr(0)))\n"
        "print('PYTHONPATH=' in Path('/proc/self/environ').read_text())\n",
    )

    assert ended.stdout == f"{Path(sys.executable).name} -P -m program\nTrue\n", ended.stderr


def test_what_is_no_python_is_executed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-c", START, "/bin/sh", "-c", "echo $GIVEN; exit 4"],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (4, "by supervisord\n")


def test_a_library_that_cannot_be_loaded_ends_no_more_than_what_needs_it() -> None:
    failing = (
        "import os, sys\n"
        "from cartwright.launcher import supervisord\n"
        "supervisord.LOADED = ('no_such_library',)\n"
        "options = supervisord.ForkingOptions()\n"
        "options.logger = type('', (), {'warn': staticmethod(print)})\n"
        "options.check_execv_args(sys.executable, [sys.executable, '-P', '-m', 'orders'], os.stat(sys.executable))\n"
    )

    assert "No module named 'no_such_library'" in told_by(failing)


def test_programs_started_one_after_the_other_draw_different_numbers() -> None:
    drawing = (
        "import os, random\n"
        "from cartwright.launcher.supervisord import load\n"
        "load()\n"
        "from uuid_utils.compat import uuid7\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        print(uuid7().int & (1 << 62) - 1, random.random(), flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )

    drawn = told_by(drawing).split()

    assert len(drawn) == len(set(drawn)) == 4


def test_a_service_finds_loaded_what_it_shares_with_others() -> None:
    """A library that two of them have in common, and that each would load for itself, belongs in LOADED."""
    loading = (
        "import importlib, os, sys\n"
        "from cartwright.launcher.supervisord import load\n"
        "load()\n"
        "for service in sys.argv[1:]:\n"
        "    if os.fork() == 0:\n"
        "        before = set(sys.modules)\n"
        "        importlib.import_module(f'{service}.app')\n"
        "        print(service, *{name.partition('.')[0] for name in set(sys.modules) - before}, flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )

    lines = told_by(loading, *SERVICES).splitlines()

    assert len(lines) == len(SERVICES)
    for service, *loaded in map(str.split, lines):
        assert service in loaded
        assert set(loaded) - {service} <= ITS_OWN.get(service, set()) | OF_NO_WEIGHT | set(sys.stdlib_module_names)


OF_NO_WEIGHT = {"chassis"}
ITS_OWN = {
    "users": {"argon2", "_argon2_cffi_bindings"},
    "notifications": {"aiosmtplib"},
}


def test_nothing_that_is_loaded_starts_a_thread_or_opens_a_file() -> None:
    loading = (
        "import os\n"
        "from cartwright.launcher.supervisord import load\n"
        "before = os.listdir('/proc/self/fd')\n"
        "load()\n"
        "print(len(os.listdir('/proc/self/task')), os.listdir('/proc/self/fd') == before)\n"
    )

    assert told_by(loading) == "1 True\n"
