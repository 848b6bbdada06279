"""Prints the entries of requirements.lock that some parts of the product need: pins, markers and hashes.

The lock names for each package the packages that require it (`# via`). Following these names backwards from a part
gives all its dependencies, without a network and without an installation. It runs during the build of an image, so it
uses only the standard library.

    python select_requirements.py cartwright-chassis cartwright-orders < requirements.lock > requirements.txt
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==")


@dataclass(frozen=True)
class Entry:
    """The lines of one pin with its hashes, and the names of the packages that require it."""

    name: str
    pin: tuple[str, ...]
    asked_for_by: frozenset[str]


def read_entries(lock: str) -> list[Entry]:
    """The entries of a lock file as `uv pip compile` writes it. A package with two pins has two entries.

    Raises ValueError for a line that begins no entry.
    """
    entries = []
    for block in re.split(r"\n(?=[^\s#])", lock.strip()):
        lines = block.splitlines()
        found = PIN.match(lines[0])
        if found is None:
            raise ValueError(f"No pin: {lines[0]}")
        comments = (line.strip().removeprefix("#").strip() for line in lines if line.strip().startswith("#"))
        askers = (comment.removeprefix("via").split() for comment in comments)
        entries.append(
            Entry(
                name=found["name"],
                pin=tuple(line for line in lines if line.strip() and not line.strip().startswith("#")),
                asked_for_by=frozenset(words[0] for words in askers if words),
            )
        )
    return entries


def select(entries: Iterable[Entry], parts: Iterable[str], without: Iterable[str] = ()) -> list[Entry]:
    """The entries that `parts` need, in the order of the lock, except `without` and the dependencies of these alone."""
    asked_by: dict[str, list[str]] = {}
    entries = list(entries)
    for entry in entries:
        for asker in entry.asked_for_by:
            asked_by.setdefault(asker, []).append(entry.name)
    needed = _reachable(asked_by, parts, frozenset(without))
    return [entry for entry in entries if entry.name in needed]


def _reachable(asked_by: Mapping[str, list[str]], parts: Iterable[str], without: frozenset[str]) -> set[str]:
    needed: set[str] = set()
    to_do = []
    for part in parts:
        to_do += asked_by.get(part, [])
    while to_do:
        name = to_do.pop()
        if name not in needed and name not in without:
            needed.add(name)
            to_do += asked_by.get(name, [])
    return needed


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("parts", nargs="+")
    arguments.add_argument("--without", nargs="*", default=())
    given = arguments.parse_args()
    for selected in select(read_entries(sys.stdin.read()), given.parts, given.without):
        print("\n".join(selected.pin))
