"""The check of commit subjects accepts and refuses what CONTRIBUTING.md says, and needs no history."""

import subprocess
from pathlib import Path

import pytest
from tools import commit_subjects


@pytest.mark.parametrize(
    "subject",
    [
        "orders: void the payment before releasing the stock",
        "payments, orders: leave nothing behind a deleted or refused order",
        "chassis: bring the relay's cursor forward",
        "cli: embed the broker",
        "docs: " + "x" * 66,
    ],
)
def test_a_subject_in_the_right_form_passes(subject: str) -> None:
    assert commit_subjects.fault_of(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Void the payment",
        "orders: voided the payment",
        "orders: voiding the payment",
        "orders: void the payment.",
        "Orders: void the payment",
        "orders:",
        "docs: " + "x" * 67,
    ],
)
def test_a_subject_in_another_form_is_refused(subject: str) -> None:
    assert commit_subjects.fault_of(subject) is not None


def git(repository: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)


def test_the_commits_after_the_last_tag_are_read(tmp_path: Path) -> None:
    assert commit_subjects.read_subjects(tmp_path) == []
    git(tmp_path, "init")
    assert commit_subjects.read_subjects(tmp_path) == []
    git(tmp_path, "commit", "--allow-empty", "--message", "First")
    assert commit_subjects.read_subjects(tmp_path) == ["First"]
    git(tmp_path, "tag", "v1")
    git(tmp_path, "commit", "--allow-empty", "--message", "Second")
    assert commit_subjects.read_subjects(tmp_path) == ["Second"]


def test_a_shallow_checkout_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    origin, shallow = tmp_path / "origin", tmp_path / "shallow"
    origin.mkdir()
    git(origin, "init")
    for subject in ("First", "Second"):
        git(origin, "commit", "--allow-empty", "--message", subject)
    git(tmp_path, "clone", "--depth", "1", f"file://{origin}", str(shallow))
    assert commit_subjects.read_subjects(shallow) == ["Second"]
