"""Brings the addresses that earlier releases stored into their canonical form, in the background.

Only an address beyond ASCII, or one in Punycode, can have another form. SQL cannot compute it, so no migration does
this. When two accounts have the same mailbox, both stay: the account with the canonical address keeps it,
and the other one keeps its earlier form and signs in with that. Both receive their mails as before, and the log names
them to the operator. During an upgrade a replica of an earlier release may add such addresses, so the loop reads all
accounts again every day.
"""

from uuid import UUID

import structlog

from chassis.persistence.database import Database
from users.domain.account import canonical_email
from users.errors import EmailTaken
from users.replace_address import replace_address
from users.store import accounts

BATCH_MAX = 100
"""Small enough not to delay requests: an address takes 0.2 ms."""
_log = structlog.get_logger()


class AddressCanonicaliser:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._after: UUID | None = None

    async def run_once(self) -> bool:
        """One batch. True while there are more accounts to read."""
        batch = await self._database.read(
            lambda connection: accounts.read_international_addresses(connection, self._after, BATCH_MAX)
        )
        for account_id, email in batch:
            await self._canonicalise(account_id, email)
        self._after = batch[-1][0] if len(batch) == BATCH_MAX else None
        return self._after is not None

    async def _canonicalise(self, account_id: UUID, earlier: str) -> None:
        try:
            email = canonical_email(earlier)
        except ValueError as error:
            _log.warning("stored address is invalid by today's rules", user_id=str(account_id), reason=str(error))
            return
        if email == earlier:
            return
        try:
            await replace_address(self._database, account_id, earlier, email)
            _log.info("address canonicalised", user_id=str(account_id))
        except EmailTaken:
            _log.warning(
                "two accounts have the same mailbox: this one keeps its earlier address", user_id=str(account_id)
            )
