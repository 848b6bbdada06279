"""SQL statements with named parameters, and lists of dataclasses as rows. No parameter is counted by hand.

A statement is compiled once, when its module is imported, into the numbered parameters that PostgreSQL knows. Rows
travel as one array for each column (`unnest`), which was measured as the fastest form (decision 39).

    @dataclass(frozen=True, slots=True)
    class EffectRow:
        id: UUID
        name: str | None
        data: Json

    _INSERT = Statement(
        "INSERT INTO effects (:rows.*, made_by) SELECT rows.*, :made_by FROM :rows RETURNING id",
        rows=EffectRow,
    )
    await _INSERT.fetch(connection, rows=[EffectRow(...), ...], made_by="orders")

`:made_by` is a value, also where it occurs more than once. `:rows` is a table of that name whose columns are the fields
of `EffectRow`, and `:rows.*` is the list of their names. So a new column is a field, and needs no change here.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from chassis.persistence.database import Connection, Row


@dataclasses.dataclass(frozen=True, slots=True)
class PostgresType:
    """The type of a field's column, where the field's own type does not tell it."""

    name: str


Json: TypeAlias = Annotated[str, PostgresType("jsonb")]
"""JSON text for a column of type `jsonb`."""
JsonText: TypeAlias = Annotated[str, PostgresType("json")]
"""JSON text for a column of type `json`, which keeps it as it is."""
_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    Decimal: "numeric",
    str: "text",
    bytes: "bytea",
    UUID: "uuid",
    datetime: "timestamptz",
    date: "date",
    timedelta: "interval",
}
# What is quoted or commented, and the cast `::`, hold no parameters.
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|::|:(?P<name>[a-z_][a-z0-9_]*)(?P<columns>\.\*)?", re.DOTALL
)


@cache
def columns_of(shape: type) -> dict[str, str]:
    """The columns of a dataclass, with their PostgreSQL types. Raises `TypeError` for a field of an unknown type.

    `", ".join(columns_of(OrderRow))` lists the columns for a SELECT, whose rows then are `OrderRow(*row)`.
    """
    hints = get_type_hints(shape, include_extras=True)
    return {field.name: _postgres_type(shape, field.name, hints[field.name]) for field in dataclasses.fields(shape)}


def _postgres_type(shape: type, field: str, hint: Any) -> str:
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, PostgresType):
                return extra.name
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not NoneType]
        if len(options) == 1:
            return _postgres_type(shape, field, options[0])
    for base in hint.__mro__ if isinstance(hint, type) else ():  # A StrEnum is text, too.
        if base in _TYPES:
            return _TYPES[base]
    raise TypeError(f"{shape.__name__}.{field}: no column type is known for {hint}; annotate it with PostgresType")


class Statement:
    """One SQL statement. `shapes` are the dataclasses of the parameters that are rows.

    Each call takes all parameters by name and raises `TypeError` when one is missing or unknown. An enum member
    is passed as its value, if it is a `StrEnum` or an `IntEnum`.
    """

    def __init__(self, text: str, **shapes: type) -> None:
        self._columns = {name: columns_of(shape) for name, shape in shapes.items()}
        self._numbers: dict[str, int] = {}
        self._readers: dict[str, Callable[[Sequence[Any]], Sequence[Sequence[Any]]]] = {}
        self._size = 0
        self.sql = _TOKEN.sub(self._compiled, text)
        unused = self._columns.keys() - self._numbers.keys()
        if unused:
            raise TypeError(f"the statement does not use the rows {sorted(unused)}")

    def _compiled(self, token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return token[0]
        columns = self._columns.get(name)
        if columns is not None and token["columns"]:
            return ", ".join(columns)
        if name not in self._numbers:
            self._numbers[name] = self._size + 1
            self._size += 1 if columns is None else len(columns)
            if columns is not None:
                self._readers[name] = _reader(list(columns))
        number = self._numbers[name]
        if columns is None:
            return f"${number}{token['columns'] or ''}"
        arrays = ", ".join(f"${number + index}::{type_}[]" for index, type_ in enumerate(columns.values()))
        return f"unnest({arrays}) AS {name} ({', '.join(columns)})"

    def arguments(self, parameters: dict[str, Any]) -> list[Any]:
        """The values of the numbered parameters. Raises `TypeError` for missing or unknown names."""
        if parameters.keys() != self._numbers.keys():
            raise TypeError(f"the statement takes {sorted(self._numbers)}, and was given {sorted(parameters)}")
        arguments: list[Any] = []
        for name in self._numbers:  # In the order of their numbers.
            reader = self._readers.get(name)
            if reader is None:
                arguments.append(parameters[name])
            else:
                arguments += reader(parameters[name])
        return arguments

    async def fetch(self, connection: Connection, **parameters: Any) -> list[Row]:
        return await connection.fetch(self.sql, *self.arguments(parameters))

    async def fetchrow(self, connection: Connection, **parameters: Any) -> Row | None:
        return await connection.fetchrow(self.sql, *self.arguments(parameters))

    async def fetchval(self, connection: Connection, **parameters: Any) -> Any:
        return await connection.fetchval(self.sql, *self.arguments(parameters))

    async def execute(self, connection: Connection, **parameters: Any) -> str:
        """The command tag, such as `UPDATE 3` (`rows_affected` reads it)."""
        return await connection.execute(self.sql, *self.arguments(parameters))


def _reader(columns: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Sequence[Any]]]:
    """A function that turns rows into one list for each column.

    It is compiled, as `dataclasses` compiles `__init__`, since loops over `attrgetter` take 3% of a purchase's insert
    more. The names of fields are identifiers, so nothing else can be compiled here.
    """
    lists = ", ".join(f"[row.{column} for row in rows]" for column in columns)
    reader: Callable[[Sequence[Any]], Sequence[Sequence[Any]]] = eval(f"lambda rows: [{lists}]")  # noqa: S307
    return reader
