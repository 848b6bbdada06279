"""Creates the first administrator at the start: only an administrator can appoint another one."""

import structlog

from chassis import context
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Database
from chassis.problems import Unavailable
from users.domain.account import ADMINISTRATOR
from users.errors import EmailTaken
from users.password_hasher import PasswordHasher
from users.register_account import register_account
from users.store import accounts

SOURCE = "start"
"""Its flow in the queue of password hashes."""
_log = structlog.get_logger()


class FirstAdministrator:
    """A `Part`. Acts only while there is no administrator, and never gives an existing account the role."""

    def __init__(self, database: Database, hasher: PasswordHasher, *, email: str, password: str) -> None:
        self._database = database
        self._hasher = hasher
        self._email = email
        self._password = password

    async def start(self) -> None:
        if self._email:
            with context.working_on(None):
                await keep_trying("first administrator", self._create_if_missing, on=(Unavailable,))

    async def stop(self) -> None:
        """There is nothing to stop."""

    async def _create_if_missing(self) -> None:
        if await self._database.read(accounts.has_administrator):
            return
        try:
            await register_account(
                self._database,
                self._hasher,
                email=self._email,
                name="Administrator",
                password=self._password,
                source=SOURCE,
                roles=ADMINISTRATOR,
            )
        except EmailTaken:
            # Another replica was first; or a customer has the address, and an operator has to decide.
            if not await self._database.read(accounts.has_administrator):
                _log.error("no first administrator: the account with ADMIN_EMAIL is no administrator")
