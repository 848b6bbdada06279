"""Makes the first administrator, without whom nobody could make another."""

import structlog

from chassis import context
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Database
from chassis.problems import Unavailable
from users.domain.account import ADMINISTRATOR
from users.errors import EmailTaken
from users.http.schemas import Registration
from users.password_hashing.hasher import Passwords
from users.register_account import register
from users.store import accounts

SOURCE = "the start"
_log = structlog.get_logger()


class FirstAdministrator:
    """A `Part`. Acts only while there is no administrator at all, and never raises an account that somebody has."""

    def __init__(self, database: Database, passwords: Passwords, *, email: str, password: str) -> None:
        self._database = database
        self._passwords = passwords
        self._email = email
        self._password = password

    async def start(self) -> None:
        if self._email:
            with context.working_on(None):
                await keep_trying("first administrator", self._make_if_missing, on=(Unavailable,))

    async def stop(self) -> None:
        """Nothing to let go of."""

    async def _make_if_missing(self) -> None:
        if await self._database.read(accounts.is_there_an_administrator):
            return
        registration = Registration(email=self._email, name="Administrator", password=self._password)
        try:
            await register(self._database, self._passwords, registration, source=SOURCE, roles=ADMINISTRATOR)
        except EmailTaken:
            # Another replica was first; or a customer has the address, which is for an operator to settle.
            if not await self._database.read(accounts.is_there_an_administrator):
                _log.error("no first administrator: ADMIN_EMAIL belongs to an account that is none")
