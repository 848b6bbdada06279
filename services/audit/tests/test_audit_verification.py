"""The login of `cartwright verify` reads these columns of audit, and no others."""

from audit.app import MIGRATIONS
from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns

READABLE = {
    "inbox": ["event_id"],
    "dead_letters": ["event_id", "type", "reason", "attempts"],
    "entries": [
        "position",
        "event_id",
        "type",
        "source",
        "subject",
        "correlation_id",
        "actor",
        "event_time",
        "recorded_at",
        "previous_hash",
        "hash",
        "content_hash",
        "is_event",
        "is_found_by_envelope",
        "sequence",
        "data_md5",
        "roles",
    ],
    "signed_heads": ["id", "position", "statement"],
    "chain_head": ["position", "hash"],
}


async def test_the_reader_reads_the_listed_columns_only(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
