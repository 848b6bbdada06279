"""Walks the chain from its start, or from an entry that is trusted, and says whether it holds.

It reads page by page outside any transaction: the memory is bounded, and writing goes on meanwhile. What is written
after the start of the walk is left to the next one.
"""

from functools import partial

import msgspec

from audit import store
from audit.chain import Broken, Head, follow
from chassis.database import Database

PAGE_ENTRIES = 1_000


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` were found intact, up to the hash `head` (hexadecimal), and then the first that is not, if any."""

    intact: bool
    entries: int
    head: str
    first_broken: Broken | None = None


async def verify_chain(database: Database, from_position: int = 1) -> Verification:
    """Check every entry from `from_position` on; the one before it is trusted as it stands."""
    end = await database.read(store.read_head)
    start = (
        Head() if from_position == 1 else await database.read(partial(store.read_head_at, position=from_position - 1))
    )
    if start is None:
        return _broken_at(0, Head(), Broken(from_position - 1, "the entry to begin from is missing"))
    reached = start
    while reached.position < end.position:
        limit = min(PAGE_ENTRIES, end.position - reached.position)
        page = await database.read(partial(store.read_entries_after, position=reached.position, limit=limit))
        if not page:
            return _broken_at(
                start.position, reached, Broken(reached.position + 1, "the entry is missing, and all up to the head")
            )
        for entry in page:
            outcome = follow(reached, entry)
            if isinstance(outcome, Broken):
                return _broken_at(start.position, reached, outcome)
            reached = outcome
    if reached != end:
        return _broken_at(start.position, reached, Broken(end.position, "the head of the chain is another"))
    return Verification(intact=True, entries=reached.position - start.position, head=reached.hash.hex())


def _broken_at(start: int, reached: Head, broken: Broken) -> Verification:
    return Verification(intact=False, entries=reached.position - start, head=reached.hash.hex(), first_broken=broken)
