"""Walks the chain from its start, or from an entry that is trusted, and says whether it holds.

It reads page by page outside any transaction: the memory is bounded, and writing goes on meanwhile. What is written
after the start of the walk is left to the next one.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import msgspec

from audit import store
from audit.chain import Broken, Head, follow
from audit.signed_heads import HeadForged, HeadsFile, HeadSigner
from chassis.persistence.database import Database

PAGE_ENTRIES = 1_000


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` were found intact, up to the hash `head` (hexadecimal), and then the first that is not, if any.

    `signed_heads` were compared with the chain: those of the database, and those of the file.
    """

    intact: bool
    entries: int
    head: str
    signed_heads: int = 0
    first_broken: Broken | None = None


async def verify_record(
    database: Database, signer: HeadSigner, file: HeadsFile, from_position: int = 1
) -> Verification:
    """Walk the chain, then compare it with every head that was signed."""
    walked = await verify_chain(database, from_position)
    compared = 0
    async for page in _statements(database, file):
        broken = await _compare(database, signer, page)
        if broken is not None:
            first = walked.first_broken or broken
            return msgspec.structs.replace(walked, intact=False, signed_heads=compared, first_broken=first)
        compared += len(page)
    return msgspec.structs.replace(walked, signed_heads=compared)


async def _statements(database: Database, file: HeadsFile) -> AsyncIterator[list[str]]:
    last = 0
    while page := await database.read(partial(store.read_statements, after=last, limit=PAGE_ENTRIES)):
        yield [kept.statement for kept in page]
        last = page[-1].id
    pages = file.pages(PAGE_ENTRIES)
    while kept := await asyncio.to_thread(next, pages, None):
        yield kept


async def _compare(database: Database, signer: HeadSigner, statements: list[str]) -> Broken | None:
    try:
        heads = [signer.read(statement) for statement in statements]
    except HeadForged as error:
        return Broken(0, f"a signed head was forged: {error}")
    hashes = await database.read(partial(store.read_hashes_at, positions=[head.position for head in heads]))
    for head in heads:
        if hashes.get(head.position) != head.hash:
            return Broken(head.position, "the chain is another than the one that was signed")
    return None


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
