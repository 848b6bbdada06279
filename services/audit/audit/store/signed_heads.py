"""The signed heads of the chain."""

from dataclasses import dataclass

from chassis.persistence.database import Connection


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A row of `signed_heads`. `statement` is the JWS."""

    id: int
    position: int
    statement: str


async def insert_statement(connection: Connection, position: int, statement: str) -> None:
    await connection.execute("INSERT INTO signed_heads (position, statement) VALUES ($1, $2)", position, statement)


async def read_latest_statement(connection: Connection) -> str | None:
    statement: str | None = await connection.fetchval("SELECT statement FROM signed_heads ORDER BY id DESC LIMIT 1")
    return statement


async def read_statements(connection: Connection, after: int, limit: int) -> list[StoredStatement]:
    """Up to `limit` signed heads after the id `after`, oldest first."""
    rows = await connection.fetch(
        "SELECT id, position, statement FROM signed_heads WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [StoredStatement(*row) for row in rows]
