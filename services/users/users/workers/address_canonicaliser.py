"""Brings the addresses that earlier releases kept into today's form, in the background.

Only an address beyond ASCII, or one in Punycode, can have another form today. SQL cannot tell which, so no migration
does this. Where two accounts turn out to have one mailbox, both stay: the account with today's form keeps it, the other
one keeps its spelling and signs in by that. Both get their mails as before, and an operator reads in the log which they
are. A replica of an earlier release may add such addresses during an upgrade, so the accounts are read again each day.
"""

from uuid import UUID

import structlog

from chassis.persistence.database import Database
from users.change_account import replace_address
from users.domain.account import normalised_email
from users.errors import EmailTaken, InvalidEmail
from users.store import accounts

BATCH_MAX = 100
"""So few that no request waits long: an address takes 0.2 ms."""
_log = structlog.get_logger()


class CanonicaliseAddresses:
    """A turn of a loop: True while there are more accounts to read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after: UUID | None = None

    async def __call__(self) -> bool:
        found = await self._database.read(
            lambda connection: accounts.international_addresses(connection, self._after, BATCH_MAX)
        )
        for account_id, email in found:
            await self._canonicalise(account_id, email)
        self._after = found[-1][0] if len(found) == BATCH_MAX else None
        return self._after is not None

    async def _canonicalise(self, account_id: UUID, former: str) -> None:
        try:
            email = normalised_email(former)
            if email != former:
                await replace_address(self._database, account_id, former, email)
                _log.info("address canonicalised", user_id=str(account_id))
        except InvalidEmail as refusal:
            _log.warning(
                "an address of an account would be refused today", user_id=str(account_id), reason=refusal.detail
            )
        except EmailTaken:
            _log.warning("two accounts have one mailbox: this one keeps its former spelling", user_id=str(account_id))
