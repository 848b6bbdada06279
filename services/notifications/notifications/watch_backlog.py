"""Looks how many mails wait, and for how long: for the metrics, by which somebody learns that none get through."""

from chassis.persistence.database import Database
from notifications import metrics, store_notifications


class WatchBacklog:
    """One look is one round of a loop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> bool:
        pending, oldest_s = await self._database.read(store_notifications.backlog)
        metrics.MAILS_PENDING.set(pending)
        metrics.OLDEST_MAIL.set(oldest_s)
        return False
