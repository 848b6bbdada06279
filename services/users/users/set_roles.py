"""Sets the roles of an account, and so revokes its access tokens: the next ones carry the new roles."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.problems import Forbidden, Invalid
from users import events
from users.domain.account import Account, NoAdministratorLeft, Role, ordered_roles
from users.errors import LastAdministrator, UnknownUser
from users.store import accounts

_log = structlog.get_logger()


async def set_roles(database: Database, account_id: UUID, roles: Sequence[Role], *, by: UUID) -> Account:
    """`by` has to be an administrator still. Raises `UnknownUser`, `Invalid`, `LastAdministrator` or `Forbidden`."""
    new_roles = ordered_roles(roles)
    if "customer" not in new_roles:
        raise Invalid("roles: every user has the role customer.")

    async def change(connection: Connection) -> Account:
        # All administrators first, in the order of their ids: two who demote each other must not deadlock.
        administrators = await accounts.lock_administrators(connection)
        # The route's guard checked this before the lock. Of two who demote each other, one has to fail.
        if by not in administrators:
            raise Forbidden("This requires the role admin.")
        account = await accounts.lock(connection, account_id)
        if account is None:
            raise UnknownUser
        try:
            changed, domain_events = account.set_roles(new_roles, administrators=administrators)
        except NoAdministratorLeft:
            raise LastAdministrator from None
        if domain_events:
            await accounts.update(connection, changed)
            await journal.append(connection, events.journal_events(domain_events))
        return changed

    account = await database.run(change)
    _log.info("roles set", user_id=str(account_id), roles=new_roles, by=str(by))
    return account
