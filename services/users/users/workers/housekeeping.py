"""Removes what is of no use any more: expired sessions, tokens, keys and devices, and budgets that are full.

Any replica may do it at any time.

A bounded number at a time: however much has gathered while nobody kept house, no statement runs into its time limit.
"""

from chassis.persistence.database import Connection, Database
from users.domain.attempt_limits import TURN_S
from users.store import devices, sessions, sign_in_budgets, signing_keys

BATCH_MAX = 1_000


async def clear_out(database: Database) -> bool:
    """True when there may be more to remove at once."""

    async def work(connection: Connection) -> bool:
        await signing_keys.forget_retired(connection)
        removed = (
            await sessions.forget_expired(connection, BATCH_MAX),
            await sessions.forget_expired_tokens(connection, BATCH_MAX),
            await sign_in_budgets.forget_full(connection, TURN_S, BATCH_MAX),
            await devices.forget_expired(connection, BATCH_MAX),
        )
        return BATCH_MAX in removed

    return await database.run(work)
