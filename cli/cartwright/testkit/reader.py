"""What the reader of a scratch database may read, for the tests of each service's views."""

import asyncpg

from cartwright.testkit import servers

_READABLE = """
    SELECT nspname || '.' || relname AS relation, array_agg(attname::text ORDER BY attnum) AS columns
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
      AND nspname NOT IN ('pg_catalog', 'information_schema')
      AND has_schema_privilege(pg_namespace.oid, 'USAGE')
      AND has_column_privilege(pg_class.oid, attnum, 'SELECT')
    GROUP BY nspname, relname
"""
_TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
_REFUSED = ("pg_authid", "pg_largeobject", "pg_statistic", "pg_user_mapping", "pg_hba_file_rules")


async def readable_columns(service_url: str) -> dict[str, list[str]]:
    """The columns that the reader may read, by view. Every other table is tried, and has to be refused."""
    connection = await asyncpg.connect(servers.reader_url(servers.owner_url(service_url)), timeout=5)
    try:
        tables = [row[0] for row in await connection.fetch(_TABLES)]
        assert len(tables) > 2, "the service has tables"
        for relation in (*tables, *_REFUSED):
            try:
                await connection.execute(f"SELECT FROM {relation} LIMIT 1")
            except asyncpg.InsufficientPrivilegeError:
                continue
            raise AssertionError(f"the reader reads {relation}")
        return {
            row["relation"].removeprefix("verification."): row["columns"] for row in await connection.fetch(_READABLE)
        }
    finally:
        await connection.close(timeout=5)
