"""The login of `cartwright verify` may read these columns of users, and no others."""

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


async def test_the_verifier_may_read_only_these_columns(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
