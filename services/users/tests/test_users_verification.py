"""What the login of `cartwright verify` may read of users: these columns, and nothing else."""

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns
from users.app import MIGRATIONS

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
    "accounts": ["id", "deleted_at"],
}


async def test_the_reader_reads_what_verify_needs_and_nothing_else(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
