"""Applies a transition to the account of the calling user, for `change_profile` and `set_preferences`."""

from collections.abc import Callable
from uuid import UUID

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.web.entity_tags import Precondition
from users import events
from users.domain.account import Account, Transition
from users.errors import AccountGone
from users.store import accounts


async def change_own_account(
    database: Database, account_id: UUID, transition: Callable[[Account], Transition], precondition: Precondition
) -> Account:
    """The changed account. Raises `AccountGone`, `PreconditionFailed`, `EmailTaken`, and what `transition` raises."""
    written: Account | None = None

    async def change(connection: Connection) -> Account:
        nonlocal written
        account = await accounts.lock(connection, account_id)
        if account is None:
            raise AccountGone
        if account == written:
            # The transaction is repeated: its first COMMIT succeeded, and only the answer was lost.
            return account
        precondition.check(account.version)
        changed, domain_events = transition(account)
        if domain_events:
            await accounts.update(connection, changed)
            await journal.append(connection, events.journal_events(domain_events))
        written = changed
        return changed

    return await database.run(change)
