"""The databases of the services, each read as of one moment, in streams that hold no more than a page at a time."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeAlias

import asyncpg

Row: TypeAlias = asyncpg.Record
PAGE_ROWS = 2_000
CONNECT_S_MAX = 10.0
# Sorting a journal of millions takes its time; a server that does not answer at all is noticed by TCP.
COMMAND_S_MAX = 600.0


class Snapshots:
    """One connection to each service's database. `async with books.snapshot()` stops time on all of them."""

    def __init__(self, connections: Mapping[str, "asyncpg.Connection[Row]"], head_keys: str = "") -> None:
        self._connections = connections
        self.head_keys = head_keys
        """The JWKS by which audit's signed heads are verified; empty: their signatures are not looked at."""

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._connections)

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Every query within sees its database as it was at the beginning."""
        async with contextlib.AsyncExitStack() as transactions:
            for connection in self._connections.values():
                await transactions.enter_async_context(
                    connection.transaction(isolation="repeatable_read", readonly=True)
                )
                await connection.execute("SELECT")  # The moment is that of the first statement.
            yield

    async def rows(self, service: str, query: str, *values: object) -> Sequence[Row]:
        """For what is few."""
        return await self._connections[service].fetch(query, *values)

    async def number(self, service: str, query: str, *values: object) -> int:
        return int(await self._connections[service].fetchval(query, *values))

    async def stream(self, service: str, query: str, *values: object) -> AsyncIterator[Row]:
        """For what may be many: a cursor on the server, within a snapshot."""
        async for row in self._connections[service].cursor(query, *values, prefetch=PAGE_ROWS):
            yield row


@contextlib.asynccontextmanager
async def open_snapshots(urls: Mapping[str, str], head_keys: str = "") -> AsyncIterator[Snapshots]:
    """`urls` are those of the read-only logins, by service."""
    async with contextlib.AsyncExitStack() as opened:
        connections: dict[str, asyncpg.Connection[Row]] = {}
        for service, url in urls.items():
            connection = await asyncpg.connect(url, timeout=CONNECT_S_MAX, command_timeout=COMMAND_S_MAX)
            opened.push_async_callback(connection.close, timeout=CONNECT_S_MAX)
            connections[service] = connection
        yield Snapshots(connections, head_keys)


async def side_by_side(streams: Mapping[str, AsyncIterator[Row]]) -> AsyncIterator[tuple[Any, dict[str, list[Row]]]]:
    """What the streams hold for each key, key by key: a merge join of streams sorted by their first column.

    UUIDs sort the same here and in PostgreSQL: by their bytes.
    """
    heads = {name: await anext(stream, None) for name, stream in streams.items()}
    while keys := [head[0] for head in heads.values() if head is not None]:
        key = min(keys)
        found: dict[str, list[Row]] = {name: [] for name in streams}
        for name, stream in streams.items():
            while (head := heads[name]) is not None and head[0] == key:
                found[name].append(head)
                heads[name] = await anext(stream, None)
        yield key, found
