"""Reads accounts: one's own, one of all, a page of all, and those that another service names."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Database
from chassis.web.pages import Page, cursor_of, key_of
from users import store_accounts
from users.account import Account
from users.errors import AccountGone, UnknownUser


async def read_own(database: Database, account_id: UUID) -> Account:
    """Raises `AccountGone` when it was deleted after the token was made."""
    account = await database.read(lambda connection: store_accounts.read(connection, account_id))
    if account is None:
        raise AccountGone
    return account


async def read_one(database: Database, account_id: UUID) -> Account:
    """Raises `UnknownUser`."""
    account = await database.read(lambda connection: store_accounts.read(connection, account_id))
    if account is None:
        raise UnknownUser
    return account


async def read_page(database: Database, cursor: str | None, limit: int) -> Page[Account]:
    """The newest first. Raises `Invalid` for a cursor that is none."""
    after = key_of(cursor, UUID)
    # One more than asked for tells whether there is a next page.
    accounts = await database.read(lambda connection: store_accounts.page(connection, after, limit + 1))
    items = accounts[:limit]
    return Page(items=items, next_cursor=cursor_of(items[-1].id) if len(accounts) > limit else None)


async def look_up(database: Database, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that there are, in the order of the asking."""
    accounts = await database.read(lambda connection: store_accounts.find(connection, account_ids))
    by_id = {account.id: account for account in accounts}
    return [by_id[account_id] for account_id in dict.fromkeys(account_ids) if account_id in by_id]
