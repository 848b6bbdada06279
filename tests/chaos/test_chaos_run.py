"""`cartwright chaos` from its command line: a short run keeps every promise, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cartwright.chaos.checker import SAYS
from cartwright.launcher.processes import MARK
from cartwright.verifier import reads

RUN_SECONDS_MAX = 420
STOP_SECONDS_MAX = 60
INVARIANTS = sorted({*SAYS, *(promise.number for promise in reads.INVARIANTS)})


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cartwright", "chaos", *arguments]


def left_behind(folder: Path) -> list[str]:
    """What remains of a run that worked in `folder`: files, and processes that carry its mark."""
    marked = []
    for process in psutil.process_iter():
        try:
            data = process.environ().get(MARK, "")
        except (psutil.Error, OSError):
            continue
        if data.startswith(str(folder)):
            marked.append(process.name())
    return [*map(str, folder.iterdir()), *marked]


@pytest.mark.matrix
@pytest.mark.timeout(RUN_SECONDS_MAX + 10)
def test_a_short_run_with_a_fixed_seed_keeps_every_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    completed = subprocess.run(
        command("--seed", "42", "--minutes", "0.5", "--faults", "10", "--json"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    outcome = json.loads(completed.stdout) if completed.stdout else {}
    assert completed.returncode == 0, completed.stderr + json.dumps(outcome, indent=2)
    assert [verdict["promise"] for verdict in outcome["verdicts"]] == INVARIANTS
    assert sum(outcome["faults"].values()) + sum(outcome["faults_missed"].values()) == 10
    assert outcome["orders_accepted"] > 0
    assert outcome["repeat"] == "cartwright chaos --seed 42 --minutes 0.5 --faults 10"
    assert left_behind(tmp_path) == []


@pytest.mark.matrix
@pytest.mark.timeout(RUN_SECONDS_MAX)
def test_ctrl_c_stops_a_run_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(
        command("--seed", "42", "--minutes", "5"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("breaking it"):
                break
        time.sleep(2.0)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=STOP_SECONDS_MAX)
    assert run.returncode == 1
    assert "Nothing is left of it." in said
    assert left_behind(tmp_path) == []
