"""The three logins of a service's database, as statements of SQL. They may be run again.

| login | is for |
|---|---|
| `orders` | migrations: owns the database and its tables |
| `orders_service` | the service: reads and writes rows |
| `orders_reader` | `cartwright verify`: reads the views of schema `verification` |

The service grants the last two what they may do, after its migrations (`chassis.persistence.privileges`). Each
statement is one line, since PostgreSQL's single-user mode takes no others.
"""

from collections.abc import Iterator

import msgspec


class Passwords(msgspec.Struct, frozen=True):
    """Those of one service's three logins."""

    owner: str
    service: str
    reader: str


def service_login(name: str) -> str:
    return f"{name}_service"


def reader_login(name: str) -> str:
    return f"{name}_reader"


# By default every login may write large objects, also one that may read only. Nothing here keeps any.
REVOKE_LARGE_OBJECTS = (
    "DO $$DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc"
    " WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite'))"
    " LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP; END$$"
)


def login_statements(name: str, passwords: Passwords) -> Iterator[str]:
    """Makes the logins, or sets their passwords anew."""
    reader = reader_login(name)
    for login, password in (
        (name, passwords.owner),
        (service_login(name), passwords.service),
        (reader, passwords.reader),
    ):
        yield (
            f"DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{login}')"
            f" THEN CREATE ROLE {login} LOGIN; END IF; END$$"
        )
        yield f"ALTER ROLE {login} PASSWORD {literal(password)}"
    yield f"ALTER ROLE {reader} SET default_transaction_read_only = on"
    yield f"ALTER ROLE {reader} SET search_path = verification"
    # Earlier versions had it read everything, the catalog of passwords included.
    yield f"REVOKE pg_read_all_data FROM {reader}"


def database_statement(name: str, options: str = "") -> str:
    return f"CREATE DATABASE {name} OWNER {name} {options}".strip()


def access_statements(name: str, database: str | None = None) -> Iterator[str]:
    """Lets the logins into the database, and no others. By default every login may connect to every database."""
    database = database or name
    yield f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"
    yield f"GRANT CONNECT ON DATABASE {database} TO {service_login(name)}, {reader_login(name)}"


def literal(password: str) -> str:
    assert password.replace("-", "").replace("_", "").isalnum(), "generated passwords are URL-safe"
    return f"'{password}'"
