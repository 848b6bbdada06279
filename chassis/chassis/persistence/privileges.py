"""What the logins of a service's database may do, beside its owner's: set after the migrations, at each start.

The service's login reads and writes rows. It owns nothing, so that it can neither drop, alter nor truncate a table; and
where a table's comment begins with `append-only`, it can neither change nor remove a row. The reader of `cartwright
verify`, where there is one, reads the views of schema `verification`, and nothing else: a service makes them in its
migrations.
"""

import asyncpg

READER_SUFFIX = "_reader"
"""A login of this name beside the owner's is the reader."""

# Statements that are missing, one a row. Most starts find none.
_MISSING = """
    WITH logins AS (
        SELECT $1::name AS service, (SELECT rolname FROM pg_roles WHERE rolname = current_user || $2) AS reader
    ), relations AS (
        SELECT pg_class.oid, format('%I.%I', nspname, relname) AS relation, nspname AS schema,
               CASE
                   WHEN relname LIKE '\\_pogo\\_%' THEN ARRAY['SELECT']
                   WHEN obj_description(pg_class.oid, 'pg_class') LIKE 'append-only%' THEN ARRAY['SELECT', 'INSERT']
                   ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
               END AS privileges
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname IN ('public', 'verification') AND relkind IN ('r', 'p', 'v', 'm')
    ), rights AS (
        SELECT service AS login, oid, relation, privilege, schema = 'public' AND privilege = ANY (privileges) AS wanted
        FROM relations, logins, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
        UNION ALL
        SELECT reader, oid, relation, privilege, schema = 'verification' AND privilege = 'SELECT'
        FROM relations, logins, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
        WHERE reader IS NOT NULL
    ), schemas AS (
        SELECT service AS login, 'public' AS schema, true AS wanted FROM logins
        UNION ALL
        SELECT reader, nspname, nspname = 'verification'
        FROM logins, pg_namespace
        WHERE reader IS NOT NULL AND nspname IN ('public', 'verification')
    )
    SELECT 'REVOKE ALL ON SCHEMA public FROM PUBLIC'
    WHERE has_schema_privilege('public', 'public', 'USAGE')
    UNION ALL
    SELECT format(CASE WHEN wanted THEN 'GRANT USAGE ON SCHEMA %I TO %I' ELSE 'REVOKE ALL ON SCHEMA %I FROM %I' END,
                  schema, login)
    FROM schemas
    WHERE wanted <> has_schema_privilege(login, schema, 'USAGE')
    UNION ALL
    SELECT format(CASE WHEN wanted THEN 'GRANT %s ON %s TO %I' ELSE 'REVOKE %s ON %s FROM %I' END,
                  string_agg(privilege, ', '), relation, login)
    FROM rights
    WHERE wanted <> has_table_privilege(login, oid, privilege)
    GROUP BY login, relation, wanted
"""


async def grant(owner: "asyncpg.Connection[asyncpg.Record]", service_login: str) -> None:
    """Grant what is missing and revoke what is too much, as the owner, in one transaction."""
    async with owner.transaction():
        # Before the grants, `public` is everybody's: what is still granted to PUBLIC would seem to be granted already.
        for _ in range(2):
            rows = await owner.fetch(_MISSING, service_login, READER_SUFFIX)
            if not rows:
                return
            await owner.execute(";\n".join(str(row[0]) for row in rows))
