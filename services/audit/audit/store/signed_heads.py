"""The signed heads of the chain."""

from dataclasses import dataclass

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A row of `signed_heads`. `statement` is the JWS."""

    id: int
    position: int
    statement: str


_INSERT = Statement("INSERT INTO signed_heads (position, statement) VALUES (:position, :statement)")


async def insert_statement(connection: Connection, position: int, statement: str) -> None:
    await _INSERT.execute(connection, position=position, statement=statement)


async def read_latest_statement(connection: Connection) -> str | None:
    statement: str | None = await connection.fetchval("SELECT statement FROM signed_heads ORDER BY id DESC LIMIT 1")
    return statement


_READ = Statement("SELECT id, position, statement FROM signed_heads WHERE id > :after ORDER BY id LIMIT :limit")


async def read_statements(connection: Connection, after: int, limit: int) -> list[StoredStatement]:
    """Up to `limit` signed heads after the id `after`, oldest first."""
    return [StoredStatement(*row) for row in await _READ.fetch(connection, after=after, limit=limit)]
