"""What the login of `cartwright verify` may read of orders: these columns, and nothing else."""

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns
from orders.app import MIGRATIONS

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
    "customers": ["user_id", "deleted"],
    "cart_items": ["user_id"],
    "orders": [
        "id",
        "user_id",
        "idempotency_key",
        "from_cart",
        "status",
        "lines",
        "currency",
        "total_minor",
        "correlation_id",
        "created_at",
        "deadline_at",
        "next_attempt_at",
        "attempts",
        "last_trouble",
        "confirmed_at",
        "ended_at",
    ],
    "cart_purchases": ["order_id", "user_id", "cart_version"],
    "carts": ["user_id", "version"],
}


async def test_the_reader_reads_what_verify_needs_and_nothing_else(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
