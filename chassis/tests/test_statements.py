"""Statements are compiled from names, and what a caller passes arrives under the name that it gave."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import pytest

from cartwright.testkit.servers import PostgresServer
from chassis.persistence.statements import Json, JsonText, PostgresType, Statement, columns_of


class _Status(StrEnum):
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class _Row:
    id: UUID
    name: str | None
    status: _Status
    quantity: int
    share: float
    amount: Decimal
    is_gift: bool
    digest: bytes
    at: datetime
    day: date
    pause: timedelta
    data: Json
    raw: JsonText
    address: Annotated[str | None, PostgresType("inet")]


ROW = _Row(
    id=uuid4(),
    name=None,
    status=_Status.PENDING,
    quantity=-3,
    share=0.5,
    amount=Decimal("1.10"),
    is_gift=True,
    digest=b"\x00'",
    at=datetime(2026, 1, 2, tzinfo=UTC),
    day=date(2026, 1, 2),
    pause=timedelta(seconds=1.5),
    data='{"a": ["\'"]}',
    raw='{"a":   1}',
    address=None,
)


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@pytest.fixture
async def connection(postgres: PostgresServer) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    url = postgres.make_database()
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()
    postgres.drop_database(url)


async def test_rows_are_inserted_and_read_as_they_were(connection) -> None:  # type: ignore[no-untyped-def]
    columns = ", ".join(f"{name} {type_}" for name, type_ in columns_of(_Row).items())
    await connection.execute(f"CREATE TABLE kept ({columns})")
    insert = Statement("INSERT INTO kept (:rows.*) SELECT rows.* FROM :rows", rows=_Row)
    assert await insert.execute(connection, rows=[ROW, ROW]) == "INSERT 0 2"
    read = Statement(f"SELECT {', '.join(columns_of(_Row))} FROM kept WHERE id = :id")
    assert [_Row(*row) for row in await read.fetch(connection, id=ROW.id)] == [ROW, ROW]


async def test_no_rows_are_no_rows(connection) -> None:  # type: ignore[no-untyped-def]
    count = Statement("SELECT count(*) FROM :rows WHERE quantity < :most", rows=_Row)
    assert await count.fetchval(connection, rows=[], most=5) == 0
    assert await count.fetchval(connection, rows=[ROW], most=5) == 1


async def test_values_and_two_kinds_of_rows_go_by_their_names(connection) -> None:  # type: ignore[no-untyped-def]
    statement = Statement(
        """
        SELECT :greeting::text || ' ' || names.name AS greeting, others.name AS other, :greeting::text AS again,
               :n::integer AS n
        FROM :names
        JOIN :others ON others.name <> names.name
        WHERE 1 < :n::integer
        """,
        others=_Name,
        names=_Name,
    )
    row = await statement.fetchrow(connection, n=2, others=[_Name("Bob")], names=[_Name("Ada")], greeting="Hello")
    assert row is not None
    assert tuple(row) == ("Hello Ada", "Bob", "Hello", 2)


def test_quotes_comments_and_casts_hold_no_parameters() -> None:
    statement = Statement("SELECT 'it''s :a', \":b\", x::text /* :c \n */ -- :d\n, :e::jsonb, :f, :e")
    assert statement.sql == "SELECT 'it''s :a', \":b\", x::text /* :c \n */ -- :d\n, $1::jsonb, $2, $1"


def test_a_missing_or_an_unknown_parameter_is_refused() -> None:
    statement = Statement("SELECT :a, :b")
    assert statement.arguments({"b": 2, "a": 1}) == [1, 2]
    with pytest.raises(TypeError, match=r"takes \['a', 'b'\], and was given \['a'\]"):
        statement.arguments({"a": 1})
    with pytest.raises(TypeError, match="was given"):
        statement.arguments({"a": 1, "b": 2, "c": 3})


def test_rows_that_the_statement_does_not_use_are_refused() -> None:
    with pytest.raises(TypeError, match=r"does not use the rows \['rows'\]"):
        Statement("SELECT :row", rows=_Name)


def test_a_field_of_a_type_without_a_column_type_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        name: list[str]

    with pytest.raises(TypeError, match=r"Odd\.name: no column type is known"):
        Statement("SELECT * FROM :rows", rows=Odd)
