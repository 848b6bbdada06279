"""Reads accounts: the caller's own, one by id, a page of all, and those that another service lists."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Database
from chassis.web.pages import Page, key_of, page_of
from users.domain.account import Account
from users.errors import AccountGone, UnknownUser
from users.store import accounts


async def read_own_account(database: Database, account_id: UUID) -> Account:
    """Raises `AccountGone` when the account was deleted after its token was issued."""
    account = await database.read(lambda connection: accounts.read(connection, account_id))
    if account is None:
        raise AccountGone
    return account


async def read_account(database: Database, account_id: UUID) -> Account:
    """Raises `UnknownUser`."""
    account = await database.read(lambda connection: accounts.read(connection, account_id))
    if account is None:
        raise UnknownUser
    return account


async def read_accounts(database: Database, cursor: str | None, limit: int) -> Page[Account]:
    """The newest first. Raises `Invalid` for a malformed cursor."""
    after = key_of(cursor, UUID)
    found = await database.read(lambda connection: accounts.read_page(connection, after, limit + 1))
    return page_of(found, limit, lambda account: account.id)


async def look_up_accounts(database: Database, account_ids: Sequence[UUID]) -> list[Account]:
    """Those of the accounts that exist, once each, in the order of `account_ids`."""
    found = await database.read(lambda connection: accounts.read_many(connection, account_ids))
    by_id = {account.id: account for account in found}
    return [by_id[account_id] for account_id in dict.fromkeys(account_ids) if account_id in by_id]
