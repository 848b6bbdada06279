"""The columns of payments that the login of `cartwright verify` may read."""

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.reader import readable_columns
from payments.app import MIGRATIONS

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
    "payments": [
        "id",
        "order_id",
        "user_id",
        "state",
        "wanted",
        "amount_minor",
        "currency",
        "refunded_minor",
        "attempts",
        "created_at",
        "authorized_at",
        "captured_at",
        "voided_at",
        "has_token",
    ],
    "deleted_users": ["user_id", "deleted_at"],
    "payment_methods": ["id", "user_id"],
    "refunds": [
        "id",
        "payment_id",
        "amount_minor",
        "currency",
        "state",
        "attempts",
        "created_at",
        "idempotency_key",
        "correlation_id",
        "is_requested",
    ],
    "ledger_entries": ["transaction_id", "account", "payment_id", "amount_minor", "currency"],
    "sandbox_payments": ["payment_id", "amount_minor", "currency", "state"],
    "sandbox_refunds": ["refund_id", "payment_id", "amount_minor"],
}


async def test_the_reader_reads_what_verify_needs_and_nothing_else(migrated: MigratedDatabases) -> None:
    with migrated(MIGRATIONS) as database_url:
        assert await readable_columns(database_url) == READABLE
