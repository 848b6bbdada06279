"""The baseline of `cartwright bench` does what it says: a purchase as five durable transactions, with all rows."""

import secrets

import asyncpg

from cartwright.bench.baseline import DATABASE, running_baseline
from cartwright.bench.own_system import folder
from cartwright.launcher.reaper import Reaper

PRODUCTS = 20
STOCK_EACH = 2_000_000_000


async def test_each_transaction_of_pgbench_is_a_whole_purchase_in_five_durable_commits(reaper: Reaper) -> None:
    password = secrets.token_urlsafe(12)
    with (
        folder(reaper, for_postgres=True) as place,
        running_baseline(place, password, reaper, PRODUCTS) as baseline,
    ):
        outcome = baseline.measure(clients=3, seconds=1)
        connection = await asyncpg.connect(
            host="127.0.0.1", port=baseline.port, user=DATABASE, password=password, database=DATABASE
        )
        try:
            count = connection.fetchval
            purchases = await count("SELECT count(*) FROM orders WHERE status = 'confirmed'")
            # What the end of the time has cut off is not counted by pgbench, and there to be seen.
            assert outcome.answers["done"] <= purchases <= outcome.answers["done"] + 3
            assert outcome.errors == 0
            assert await count("SELECT count(*) FROM orders_journal WHERE type = 'order.confirmed'") == purchases
            authorized = await count("SELECT count(*) FROM payments WHERE state = 'authorized'")
            assert await count("SELECT count(*) FROM payments") >= authorized >= purchases
            assert await count("SELECT count(*) FROM payments_journal") == authorized
            reserved = await count("SELECT count(*) FROM reservations")
            assert await count("SELECT sum($1 - available)::bigint FROM stock", STOCK_EACH) == reserved >= purchases
            wrong = "SELECT count(*) FROM orders WHERE lines -> 0 ->> 'unit_price_minor' <> '4999'"
            assert await count(wrong) == 0
            commits = await count("SELECT xact_commit FROM pg_stat_database WHERE datname = $1", DATABASE)
            assert commits >= 5 * purchases
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert await count("SELECT current_setting($1)", setting) == "on"
        finally:
            await connection.close()
