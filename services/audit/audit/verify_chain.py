"""Verifies the hash chain, from its start or from a trusted entry.

It reads page by page outside a transaction: memory is bounded, and replicas go on recording. It stops at the head that
it read first; the next verification covers later entries.
"""

from dataclasses import dataclass
from functools import partial

from audit.consumed_events import are_index_fields_of
from audit.domain.chain import ChainBreak, Entry, Head, follow
from audit.store import chain
from chassis.persistence.database import Database

PAGE_ENTRIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`entries` entries are intact, up to `head`. `first_break` is the first break after them, if there is one.

    `signed_heads` is the number of signed heads that were compared with the chain.
    """

    entries: int
    head: Head
    signed_heads: int = 0
    first_break: ChainBreak | None = None

    @property
    def is_intact(self) -> bool:
        return self.first_break is None


async def verify_chain(database: Database, from_position: int = 1) -> Verification:
    """Verify every entry from `from_position` on. The entry before it is trusted."""
    end = await database.read(chain.read_head)
    start = (
        Head() if from_position == 1 else await database.read(partial(chain.read_head_at, position=from_position - 1))
    )
    if start is None:
        return _broken(0, Head(), ChainBreak(from_position - 1, "the entry to begin from is missing"))
    reached = start
    while reached.position < end.position:
        limit = min(PAGE_ENTRIES, end.position - reached.position)
        page = await database.read(partial(chain.read_entries_after, position=reached.position, limit=limit))
        if not page:
            missing = ChainBreak(reached.position + 1, "the entries from here up to the head are missing")
            return _broken(start.position, reached, missing)
        for entry in page:
            outcome = verify_entry(reached, entry)
            if isinstance(outcome, ChainBreak):
                return _broken(start.position, reached, outcome)
            reached = outcome
    if reached != end:
        return _broken(start.position, reached, ChainBreak(end.position, "the head differs from the last entry"))
    return Verification(entries=reached.position - start.position, head=reached)


def verify_entry(head: Head, entry: Entry) -> Head | ChainBreak:
    """The head after `entry`, or its break: in the chain, or between its columns and its envelope."""
    outcome = follow(head, entry)
    if isinstance(outcome, Head) and not are_index_fields_of(entry.index, entry.envelope):
        return ChainBreak(entry.position, "its columns differ from its envelope")
    return outcome


def _broken(start: int, reached: Head, first_break: ChainBreak) -> Verification:
    return Verification(entries=reached.position - start, head=reached, first_break=first_break)
