"""Sets which mails the calling user receives."""

from uuid import UUID

from chassis.persistence.database import Database
from chassis.web.entity_tags import ANY, Precondition
from users.change_own_account import change_own_account
from users.domain.account import Account, Preferences


async def set_preferences(
    database: Database, account_id: UUID, preferences: Preferences, *, precondition: Precondition = ANY
) -> Account:
    """Raises `AccountGone` or `PreconditionFailed`."""
    return await change_own_account(
        database, account_id, lambda account: account.set_preferences(preferences), precondition
    )
