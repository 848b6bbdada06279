"""Changes the name or the e-mail address of the calling user."""

from uuid import UUID

from chassis.persistence.database import Database
from chassis.values import visible_text
from chassis.web.entity_tags import ANY, Precondition
from users.change_own_account import change_own_account
from users.domain.account import Account
from users.email_input import accept_email


async def change_profile(
    database: Database,
    account_id: UUID,
    *,
    email: str | None = None,
    name: str | None = None,
    precondition: Precondition = ANY,
) -> Account:
    """What is None stays. Raises `AccountGone`, `PreconditionFailed`, `InvalidEmail`, `InvalidName` or `EmailTaken`."""
    new_email = None if email is None else accept_email(email)
    new_name = None if name is None else visible_text.name(name)
    return await change_own_account(
        database, account_id, lambda account: account.change_profile(email=new_email, name=new_name), precondition
    )
