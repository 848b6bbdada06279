"""`make new-service` in a copy of the tree: the new service starts on real servers, and its own tests pass."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "loyalty"


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # The sources of the copy come before those that are installed.
    sources = [copy / "chassis", copy / "cli", *(copy / "services").iterdir()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sources))}
    environment = {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True, timeout=110
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "tree"
    ignored = shutil.ignore_patterns(".venv", ".git", ".cartwright", "__pycache__", ".*_cache", "secrets")
    shutil.copytree(ROOT, target, ignore=ignored, symlinks=True)
    return target


def test_a_new_service_migrates_answers_health_and_emits_and_consumes_an_event(copy: Path) -> None:
    made = run(copy, "tools/new_service.py", NAME)
    assert made.returncode == 0, made.stderr
    assert f"services/{NAME} is made" in made.stdout
    assert not [path for path in (copy / "services" / NAME).rglob("*") if "newservice" in path.name]
    tested = run(copy, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", f"services/{NAME}")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "4 passed" in tested.stdout
    lint = run(copy, "-m", "ruff", "check", f"services/{NAME}", "cli", "services/audit")
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize("name", ["", "Loyalty", "my-service", "orders", "json", "class"])
def test_a_name_that_is_taken_or_not_a_module_name_is_refused(copy: Path, name: str) -> None:
    refused = run(copy, "tools/new_service.py", name)
    assert refused.returncode == 1
    assert "is no name" in refused.stderr or "is taken" in refused.stderr
    assert (copy / "pyproject.toml").read_text() == (ROOT / "pyproject.toml").read_text()
