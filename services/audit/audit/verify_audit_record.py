"""Verifies the audit record: the chain, and each signed head against the chain."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from audit.domain.chain import ChainBreak
from audit.head_signer import HeadForged, HeadSigner
from audit.heads_file import HeadsFile
from audit.store import chain, signed_heads
from audit.verify_chain import PAGE_ENTRIES, Verification, verify_chain
from chassis.persistence.database import Database


async def verify_audit_record(
    database: Database, signer: HeadSigner, heads_file: HeadsFile, from_position: int = 1
) -> Verification:
    """Verify the chain from `from_position` on, then compare all signed heads, of the table and of the file."""
    verification = await verify_chain(database, from_position)
    compared = 0
    async for statements in _statements(database, heads_file):
        head_break = await _compare(database, signer, statements)
        if head_break is not None:
            return replace(verification, signed_heads=compared, first_break=verification.first_break or head_break)
        compared += len(statements)
    return replace(verification, signed_heads=compared)


async def _statements(database: Database, heads_file: HeadsFile) -> AsyncIterator[list[str]]:
    last_id = 0
    while page := await database.read(partial(signed_heads.read_statements, after=last_id, limit=PAGE_ENTRIES)):
        yield [row.statement for row in page]
        last_id = page[-1].id
    file_pages = heads_file.pages(PAGE_ENTRIES)
    while statements := await asyncio.to_thread(next, file_pages, None):
        yield statements


async def _compare(database: Database, signer: HeadSigner, statements: list[str]) -> ChainBreak | None:
    try:
        heads = [signer.read(statement) for statement in statements]
    except HeadForged as error:
        return ChainBreak(0, f"a signed head was forged: {error}")
    hashes = await database.read(partial(chain.read_hashes_at, positions=[head.position for head in heads]))
    for head in heads:
        if hashes.get(head.position) != head.hash:
            return ChainBreak(head.position, "the chain differs from the signed head")
    return None
