"""What a token is worth in users: every request of a person is checked against the account and the session as they are.

Other services follow the revocations instead. Here the tables are at hand, and here rights are changed.
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
        """Raises `AccountGone`, or `TokenRevoked` when the session has ended or the roles changed since."""
        account_id, session_id = caller.user_id, _uuid(caller.session_id)
        assert account_id is not None, "services have rights of their own"
        found = await self._database.read(lambda connection: accounts.rights(connection, account_id, session_id))
        if found is None:
            raise AccountGone
        if (
            not found.is_session_active
            or caller.account_version < found.roles_version
            or frozenset(found.roles) != caller.roles
        ):
            raise TokenRevoked


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None
