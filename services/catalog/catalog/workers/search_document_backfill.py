"""Gives a search document to each product that is older than the documents. Triggers keep the documents since then.

The backfill works page by page beside the requests, and its position survives a restart. Until it is complete, searches
find words of the language alone. So the service is ready at once, and no write waits for more than a page.
"""

import asyncio
from contextlib import suppress

import structlog

from catalog.store import search_documents
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Database
from chassis.problems import OutcomeUnknown, Unavailable

PAGE_SIZE = 500
PAUSE_S = 0.05
"""Between two pages, so that other statements get their turn."""
_log = structlog.get_logger()


class SearchDocumentBackfill:
    """A `Part`, after the database. `is_complete` says whether searches can use the documents."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self.is_complete = False

    async def start(self) -> None:
        """Read whether the backfill is complete, and otherwise continue it in the background."""
        await keep_trying("database", self._read_state, on=(Unavailable,))
        if not self.is_complete:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        _log.info("the backfill of search documents continues")
        while True:
            await keep_trying("database", self._add_page, on=(Unavailable, OutcomeUnknown))
            if self.is_complete:
                break
            await asyncio.sleep(PAUSE_S)
        _log.info("the backfill of search documents is complete")

    async def _read_state(self) -> None:
        self.is_complete = await self._database.read(search_documents.is_backfill_complete)

    async def _add_page(self) -> None:
        self.is_complete = await self._database.run(
            lambda connection: search_documents.backfill_page(connection, PAGE_SIZE)
        )
