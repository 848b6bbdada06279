"""Measures how many mails are pending, and the age of the oldest, for the metrics and their alerts."""

from chassis.persistence.database import Database
from notifications import metrics
from notifications.store import notifications


async def measure_backlog(database: Database) -> bool:
    """One run of a loop. It never has more to do."""
    pending, oldest_s = await database.read(notifications.backlog)
    metrics.MAILS_PENDING.set(pending)
    metrics.OLDEST_MAIL.set(oldest_s)
    return False
