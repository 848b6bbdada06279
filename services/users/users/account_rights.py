"""Checks an access token against its account and session, at each request to users.

Other services follow the revocations instead. This service has the tables, and it is where rights change.
"""

from uuid import UUID

from chassis.persistence.database import Database
from chassis.problems import TokenRevoked
from chassis.security.tokens import Caller
from users.errors import AccountGone
from users.store import accounts


class AccountRights:
    """The `chassis.security.tokens.Rights` of users: one read by two primary keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirm(self, caller: Caller) -> None:
        """Raises `AccountGone`, or `TokenRevoked` when the session has ended or the roles have changed since."""
        account_id, session_id = caller.user_id, _uuid(caller.session_id)
        assert account_id is not None, "services have rights of their own"
        rights = await self._database.read(lambda connection: accounts.read_rights(connection, account_id, session_id))
        if rights is None:
            raise AccountGone
        if (
            not rights.is_session_open
            or caller.account_version < rights.roles_version
            or frozenset(rights.roles) != caller.roles
        ):
            raise TokenRevoked


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
