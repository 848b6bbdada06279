"""Adds products to a running system in one statement, as catalog would have written them one by one."""

import asyncpg

from cartwright.bench.preparation import STOCK
from cartwright.bench.product_names import ADJECTIVES, NOUNS
from cartwright.launcher.system import System

CALL_S_MAX = 600.0

ADD = """
    WITH named AS (
        SELECT uuidv7() AS id,
               'BENCH-' || number AS sku,
               format('%s %s %s', ($3::text[])[1 + number % cardinality($3)],
                      ($4::text[])[1 + number / cardinality($3) % cardinality($4)], number) AS name
        FROM generate_series($1::integer, $2 - 1) AS number
    ), written AS (
        INSERT INTO products (id, sku, name, description, price_minor, currency, attributes)
        SELECT id, sku, name, '', 4999, 'USD', '{}'
        FROM named
        RETURNING id
    ), stocked AS (
        INSERT INTO stock (product_id, available)
        SELECT id, $5 FROM written
        RETURNING product_id
    )
    INSERT INTO stock_adjustments (id, product_id, quantity, reason, available)
    SELECT uuidv7(), product_id, $5, 'initial', $5 FROM stocked
    RETURNING product_id
"""


async def add_products(system: System, first: int, count: int) -> list[str]:
    """Those of the numbers from `first` on, up to `count` in all; answers their ids."""
    connection = await asyncpg.connect(system.owner_url("catalog"), command_timeout=CALL_S_MAX)
    try:
        rows = await connection.fetch(ADD, first, count, list(ADJECTIVES), list(NOUNS), STOCK)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close(timeout=CALL_S_MAX)
    return [str(row["product_id"]) for row in rows]
