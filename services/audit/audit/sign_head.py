"""Signs the head of the chain, so that a later rewrite of the chain and its head is found.

A statement is stored three times: in a table that the service's login can only insert into, in a file beside the JSON
lines, and where an operator stores the answers of `GET /audit/heads` (decision 24).
"""

import asyncio
from datetime import UTC, datetime, timedelta

from audit.head_signer import HeadForged, HeadSigner
from audit.heads_file import HeadsFile
from audit.store import chain, signed_heads
from chassis.persistence.database import Connection, Database

SIGN_AGAIN_AFTER = timedelta(days=1)
"""A chain that does not grow is signed once a day, to show that it was intact then."""


async def sign_head(database: Database, signer: HeadSigner, heads_file: HeadsFile) -> None:
    """Sign the present head, unless its signature is recent."""

    async def sign(connection: Connection) -> str | None:
        # The lock lets one replica sign at a time, and no replica appends an entry meanwhile.
        head = await chain.lock_head(connection)
        if not await _is_due(connection, signer):
            return None
        statement = signer.sign(head)
        await signed_heads.insert_statement(connection, head.position, statement)
        return statement

    if not await database.read(lambda connection: _is_due(connection, signer)):
        return
    statement = await database.run(sign)
    if statement is not None:
        await asyncio.to_thread(heads_file.append, statement)


async def _is_due(connection: Connection, signer: HeadSigner) -> bool:
    head = await chain.read_head(connection)
    latest = await signed_heads.read_latest_statement(connection)
    if latest is None or head.position == 0:
        return head.position > 0
    try:
        signed = signer.read(latest)
    except HeadForged:
        return True  # `GET /audit/verify` reports the forgery. The signature of later entries must not wait for that.
    return signed.position < head.position or datetime.now(UTC) - signed.signed_at >= SIGN_AGAIN_AFTER
