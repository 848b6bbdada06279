"""Checks the subjects of the latest commits: `area: imperative sentence`, at most 72 characters. `make lint` runs it.

It checks the commits after the last tag, at most 30. Without git or without a history there is nothing to check.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

LENGTH_MAX = 72
COMMITS_MAX = 30

_FORM = re.compile(r"[a-z][a-z-]*(?:, [a-z][a-z-]*)*: (?P<first>[\w`.-]+)(?: .*)?(?<![.\s])")
_NOT_IMPERATIVE = re.compile(r"(?:\w{2,}ing|\w{2,}[^e]ed)")
_IMPERATIVE_ALL_THE_SAME = {"bring", "embed", "ping", "shed", "spring", "string", "swing"}


def fault_of(subject: str) -> str | None:
    """What is wrong with this subject, if anything."""
    if len(subject) > LENGTH_MAX:
        return f"has {len(subject)} characters; at most {LENGTH_MAX}"
    form = _FORM.fullmatch(subject)
    if form is None:
        return "has not the form `area: imperative sentence`, without a full stop"
    first = form["first"].lower()
    if _NOT_IMPERATIVE.fullmatch(first) and first not in _IMPERATIVE_ALL_THE_SAME:
        return f"begins with {first!r}; write an imperative"
    return None


def read_subjects(repository: Path) -> list[str]:
    """The subjects of the commits after the last tag, newest first; none where there is no history."""
    if shutil.which("git") is None or not (repository / ".git").exists():
        return []
    tag = _git(repository, "describe", "--tags", "--abbrev=0")
    span = ["HEAD"] if tag is None else [f"{tag.strip()}..HEAD"]
    log = _git(repository, "log", "--no-merges", f"--max-count={COMMITS_MAX}", "--format=%s", *span)
    return [] if log is None else log.splitlines()


def _git(repository: Path, *arguments: str) -> str | None:
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(repository), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def main() -> int:
    subjects = read_subjects(Path(__file__).parents[1])
    faults = [f"{subject!r} {fault}" for subject in subjects if (fault := fault_of(subject)) is not None]
    print("\n".join(faults) if faults else f"The subjects of {len(subjects)} commits have the right form.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
