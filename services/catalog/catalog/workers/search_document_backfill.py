"""Gives a search document to each product that was there before there were any. Triggers keep them from then on.

In batches, so that no writer waits long, while the service runs: until all have one, a search looks at the words of the
language alone, as the version before did. Replicas may do it at the same time: a document is added once.
"""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from catalog.store import search_documents
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Database
from chassis.problems import OutcomeUnknown, Unavailable

BATCH = 500
PAUSE_S = 0.05
"""Between two batches, for others."""
_log = structlog.get_logger()


class SearchDocumentBackfill:
    """A `Part`, after the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached = UUID(int=0)
        self._task: asyncio.Task[None] | None = None
        self.is_complete = False

    async def start(self) -> None:
        """Nearly always all products have a document, and the first look says so."""
        await self._add_batch()
        if not self.is_complete:
            self._task = asyncio.create_task(self._add_rest())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _add_rest(self) -> None:
        _log.info("products are being indexed for searches")
        while not self.is_complete:
            await asyncio.sleep(PAUSE_S)
            await self._add_batch()
        _log.info("all products are indexed for searches")

    async def _add_batch(self) -> None:
        await keep_trying("database", self._try_batch, on=(Unavailable, OutcomeUnknown))

    async def _try_batch(self) -> None:
        last = await self._database.run(
            lambda connection: search_documents.add_documents(connection, self._reached, BATCH)
        )
        if last is None:
            self.is_complete = True
        else:
            self._reached = last
