"""Changes an account: profile, preferences, roles. Each change raises the version and is told as `user.updated`."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
import structlog

from chassis import journal, visible_text
from chassis.database import Connection, Database
from chassis.problems import Invalid
from users import events, store_accounts
from users.account import Account, Preferences, Role, normalised_email, ordered_roles
from users.errors import AccountGone, EmailTaken, LastAdministrator, UnknownUser
from users.messages import ProfileChange

_log = structlog.get_logger()


async def change_profile(database: Database, account_id: UUID, change: ProfileChange) -> Account:
    """Raises `AccountGone`, `InvalidEmail`, `InvalidName` or `EmailTaken`."""
    email = None if change.email is msgspec.UNSET else normalised_email(change.email)
    name = None if change.name is msgspec.UNSET else visible_text.name(change.name)

    async def work(connection: Connection) -> Account:
        account = await store_accounts.lock(connection, account_id)
        if account is None:
            raise AccountGone
        changed = msgspec.structs.replace(account, email=email or account.email, name=name or account.name)
        return await _keep(connection, account, changed)

    try:
        return await database.run(work)
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


async def set_preferences(database: Database, account_id: UUID, preferences: Preferences) -> Account:
    """Raises `AccountGone`."""

    async def work(connection: Connection) -> Account:
        account = await store_accounts.lock(connection, account_id)
        if account is None:
            raise AccountGone
        return await _keep(connection, account, msgspec.structs.replace(account, preferences=preferences))

    return await database.run(work)


async def set_roles(database: Database, account_id: UUID, roles: Sequence[Role], *, by: UUID | None) -> Account:
    """Takes effect with the next access token. Raises `UnknownUser`, `Invalid` or `LastAdministrator`."""
    ordered = ordered_roles(roles)
    if "customer" not in ordered:
        raise Invalid("roles: everybody is a customer.")

    async def work(connection: Connection) -> Account:
        # All of them first and in order, so that two who demote each other cannot both succeed, nor meet in a deadlock.
        administrators = await store_accounts.lock_administrators(connection)
        account = await store_accounts.lock(connection, account_id)
        if account is None:
            raise UnknownUser
        if "admin" not in ordered and administrators == {account_id}:
            raise LastAdministrator
        return await _keep(connection, account, msgspec.structs.replace(account, roles=ordered))

    account = await database.run(work)
    _log.info("roles set", user_id=str(account_id), roles=ordered, by=str(by))
    return account


async def _keep(connection: Connection, account: Account, changed: Account) -> Account:
    if changed == account:
        return account
    changed = msgspec.structs.replace(changed, version=account.version + 1)
    await store_accounts.update(connection, changed)
    await journal.append(connection, [events.updated(changed)])
    return changed
