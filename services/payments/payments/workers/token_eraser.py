"""Erases the tokens of deleted accounts from payments that have ended since the deletion."""

import structlog

from chassis.persistence.database import Database
from payments import store

USERS_MAX = 100
_log = structlog.get_logger()


class TokenEraser:
    """`run_once` is one round of a loop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> bool:
        """Erase the tokens of a batch of accounts. False: the loop rests after each batch."""
        erased = await self._database.run_statement(
            lambda connection: store.deleted_users.erase_tokens(connection, USERS_MAX)
        )
        if erased:
            _log.info("payments of deleted accounts were erased", accounts=erased)
        return False
