"""The login of `cartwright verify` may read these columns of catalog, and nothing else."""

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns
from catalog.app import MIGRATIONS

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
    "stock": ["product_id", "available"],
    "stock_adjustments": ["product_id", "quantity"],
    "reservations": ["order_id", "state", "lines", "currency", "total_minor", "reserved_at", "settled_at"],
}


async def test_the_reader_reads_what_verify_needs_and_nothing_else(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
