"""Changes an account: profile, preferences, roles. Each change raises the version and is told as `user.updated`, a
change of roles as `user.roles_changed`.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg
import msgspec
import structlog

from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Database
from chassis.problems import Forbidden, Invalid
from chassis.values import visible_text
from chassis.web.entity_tags import ANY, Precondition
from users import events
from users.domain.account import Account, Preferences, Role, normalised_email, ordered_roles
from users.errors import AccountGone, EmailTaken, LastAdministrator, UnknownUser
from users.http.schemas import ProfileChange
from users.store import accounts

_log = structlog.get_logger()


async def change_profile(
    database: Database, account_id: UUID, change: ProfileChange, precondition: Precondition = ANY
) -> Account:
    """Raises `AccountGone`, `PreconditionFailed`, `InvalidEmail`, `InvalidName` or `EmailTaken`."""
    email = None if change.email is msgspec.UNSET else normalised_email(change.email)
    name = None if change.name is msgspec.UNSET else visible_text.name(change.name)
    written: Account | None = None

    async def work(connection: Connection) -> Account:
        nonlocal written
        account = await accounts.lock(connection, account_id)
        if account is None:
            raise AccountGone
        if account == written:
            # A repeated transaction: the first COMMIT was not answered, and had worked.
            return account
        precondition.check(account.version)
        changed = msgspec.structs.replace(account, email=email or account.email, name=name or account.name)
        written = await _keep(connection, account, changed)
        return written

    try:
        return await database.run(work)
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


async def replace_address(database: Database, account_id: UUID, former: str, email: str) -> None:
    """Put another form of the same address in place of `former`, unless that was changed. Raises `EmailTaken`."""

    async def work(connection: Connection) -> None:
        account = await accounts.lock(connection, account_id)
        if account is not None and account.email == former:
            await _keep(connection, account, msgspec.structs.replace(account, email=email))

    try:
        await database.run(work)
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


async def set_preferences(
    database: Database, account_id: UUID, preferences: Preferences, precondition: Precondition = ANY
) -> Account:
    """Raises `AccountGone` or `PreconditionFailed`."""
    written: Account | None = None

    async def work(connection: Connection) -> Account:
        nonlocal written
        account = await accounts.lock(connection, account_id)
        if account is None:
            raise AccountGone
        if account == written:
            return account
        precondition.check(account.version)
        written = await _keep(connection, account, msgspec.structs.replace(account, preferences=preferences))
        return written

    return await database.run(work)


async def set_roles(database: Database, account_id: UUID, roles: Sequence[Role], *, by: UUID | None) -> Account:
    """Revokes the account's access tokens: the next ones have the new roles.

    `by` has to be an administrator still, or None for the service itself. Raises `UnknownUser`, `Invalid`,
    `LastAdministrator` or `Forbidden`.
    """
    ordered = ordered_roles(roles)
    if "customer" not in ordered:
        raise Invalid("roles: everybody is a customer.")

    async def work(connection: Connection) -> Account:
        # All of them first and in order, so that two who demote each other do not meet in a deadlock.
        administrators = await accounts.lock_administrators(connection)
        # The guard has looked before the lock. Two who demote each other at once cannot both succeed.
        if by is not None and by not in administrators:
            raise Forbidden("This needs the role admin.")
        account = await accounts.lock(connection, account_id)
        if account is None:
            raise UnknownUser
        if "admin" not in ordered and administrators == {account_id}:
            raise LastAdministrator
        return await _keep(
            connection, account, msgspec.structs.replace(account, roles=ordered), told_as=events.roles_changed
        )

    account = await database.run(work)
    _log.info("roles set", user_id=str(account_id), roles=ordered, by=str(by))
    return account


async def _keep(
    connection: Connection, account: Account, changed: Account, *, told_as: Callable[[Account], Event] = events.updated
) -> Account:
    if changed == account:
        return account
    changed = msgspec.structs.replace(changed, version=account.version + 1)
    await accounts.update(connection, changed)
    await journal.append(connection, [told_as(changed)])
    return changed
