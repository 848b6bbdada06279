"""The login of `cartwright verify` reads these columns of notifications, and no others."""

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns
from notifications.app import MIGRATIONS

READABLE = {
    "journal": [
        "position",
        "transaction_id",
        "event_id",
        "type",
        "subject",
        "time",
        "correlation_id",
        "actor",
        "data_md5",
    ],
    "journal_relay": ["name", "transaction_id", "position"],
    "inbox": ["event_id"],
    "dead_letters": ["event_id", "type", "reason", "attempts"],
    "notifications": [
        "id",
        "kind",
        "subject_key",
        "order_id",
        "state",
        "attempts",
        "next_attempt_at",
        "created_at",
        "has_address",
        "amounts",
        "user_id",
        "has_content",
    ],
    "recipients": ["user_id", "deleted", "is_known"],
}


async def test_the_reader_reads_the_listed_columns_only(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
