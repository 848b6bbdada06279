"""Reads accounts: one's own, one of all, a page of all, and those that another service names."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Database
from chassis.web.pages import Page, cursor_of, key_of
from users.domain.account import Account
from users.errors import AccountGone, UnknownUser
from users.store import accounts


async def read_own(database: Database, account_id: UUID) -> Account:
    """Raises `AccountGone` when it was deleted after the token was made."""
    account = await database.read(lambda connection: accounts.read(connection, account_id))
    if account is None:
        raise AccountGone
    return account


async def read_one(database: Database, account_id: UUID) -> Account:
    """Raises `UnknownUser`."""
    account = await database.read(lambda connection: accounts.read(connection, account_id))
    if account is None:
        raise UnknownUser
    return account


async def read_page(database: Database, cursor: str | None, limit: int) -> Page[Account]:
    """The newest first. Raises `Invalid` for a cursor that is none."""
    after = key_of(cursor, UUID)
    # One more than asked for tells whether there is a next page.
    found = await database.read(lambda connection: accounts.page(connection, after, limit + 1))
    items = found[:limit]
    return Page(items=items, next_cursor=cursor_of(items[-1].id) if len(found) > limit else None)


async def look_up(database: Database, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that there are, in the order of the asking."""
    found = await database.read(lambda connection: accounts.find(connection, account_ids))
    by_id = {account.id: account for account in found}
    return [by_id[account_id] for account_id in dict.fromkeys(account_ids) if account_id in by_id]
