"""A switch-over of PostgreSQL: writes are back soon after the address leads to the new primary, and none is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cartwright.testkit.launching import Reaper
from cartwright.testkit.proxy import Proxy
from cartwright.testkit.servers import PostgresServer, running_postgres
from cartwright.testkit.standby import StandbyServer, demote, running_pair
from chassis.persistence.database import ChangeUnknown, Connection, Database, DatabaseUnavailable

WRITES_BACK_S_MAX = 30.0
WRITERS = 4
Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]
AtPort = Callable[[str, int], str]


@pytest.fixture
def pair(reaper: Reaper) -> Iterator[tuple[PostgresServer, StandbyServer]]:
    with running_pair(reaper) as servers:
        yield servers


@pytest.fixture
async def endpoint(pair: tuple[PostgresServer, StandbyServer]) -> AsyncIterator[tuple[Proxy, int]]:
    """The address by which clients find the primary, and its port."""
    proxy = Proxy(pair[0].port)
    yield proxy, await proxy.start()
    await proxy.stop()


class Writers:
    """Several clients that write numbers all the time, each until it is acknowledged."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = iter(range(1_000_000))
        self.acknowledged: list[str] = []
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]

    async def _write(self) -> None:
        while True:
            name = f"{next(self._numbers):06}"
            while True:
                with suppress(DatabaseUnavailable, ChangeUnknown):
                    await self._database.run(lambda connection, name=name: _add(connection, name))  # type: ignore[misc]
                    self.acknowledged.append(name)
                    break
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def go_on(self, seconds: float) -> None:
        """Wait until more was acknowledged than now, for so many seconds at the most."""
        count = len(self.acknowledged)
        async with asyncio.timeout(seconds):
            while len(self.acknowledged) < count + WRITERS:
                await asyncio.sleep(0.02)


async def _add(connection: Connection, name: str) -> None:
    await connection.execute(
        "INSERT INTO effect (name) SELECT $1 WHERE NOT EXISTS (SELECT FROM effect WHERE name = $1)", name
    )


async def _names(database: Database) -> set[str]:
    rows = await database.read(lambda connection: connection.fetch("SELECT name FROM effect"))
    return {row["name"] for row in rows}


async def test_writes_go_on_at_the_new_primary_and_none_that_was_acknowledged_is_lost(
    pair: tuple[PostgresServer, StandbyServer],
    endpoint: tuple[Proxy, int],
    migrations: Path,
    at_port: AtPort,
    eventually: Eventually,
) -> None:
    primary, standby = pair
    proxy, port = endpoint
    database = Database(at_port(primary.make_database(), port), migrations=migrations)
    await database.start()
    writers = Writers(database)
    await writers.go_on(10)

    await asyncio.to_thread(standby.promote)
    primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await asyncio.to_thread(demote, primary)
    acknowledged_before = len(writers.acknowledged)
    # The address still leads to the former primary, which answers, but accepts no writes.
    await asyncio.sleep(3)
    assert not await database.is_reachable()

    proxy.move(standby.port)
    await writers.go_on(WRITES_BACK_S_MAX)
    await eventually(database.is_reachable, "the service is ready")
    await writers.stop()
    assert acknowledged_before > 0
    assert set(writers.acknowledged) <= await _names(database)
    await database.stop()


@pytest.fixture(scope="module")
def shaken_postgres(reaper: Reaper) -> Iterator[PostgresServer]:
    """A server that tests make read-only; each test leaves it as it was."""
    with running_postgres(reaper) as server:
        yield server


def _set_read_only(server: PostgresServer, value: str) -> None:
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()")


async def test_a_connection_to_a_server_that_became_read_only_is_not_used_again(
    shaken_postgres: PostgresServer, own_postgres: PostgresServer, migrations: Path, at_port: AtPort
) -> None:
    """As behind a failover manager that fences a primary before it moves the address."""
    proxy = Proxy(shaken_postgres.port)
    port = await proxy.start()
    url = own_postgres.make_database()
    shaken_postgres.execute(*_same_login(url))
    databases = [Database(at_port(url, each), migrations=migrations) for each in (own_postgres.port, port)]
    for each in databases:
        await each.start()
    database = databases[1]
    # Several connections, all to the server that is about to be read-only.
    await asyncio.gather(
        *(database.read(lambda connection: connection.execute("SELECT pg_sleep(0.2)")) for _ in range(6))
    )

    _set_read_only(shaken_postgres, "on")
    try:
        with pytest.raises(DatabaseUnavailable):
            await database.run(lambda connection: _add(connection, "lost"))
        proxy.move(own_postgres.port)
        await database.run(lambda connection: _add(connection, "kept"))
        # No connection to the former primary is left that would answer a read with what was.
        counts = await asyncio.gather(*(_names(database) for _ in range(6)))
        assert counts == [{"kept"}] * 6
        assert await _names(databases[0]) == {"kept"}
    finally:
        _set_read_only(shaken_postgres, "off")
        for each in databases:
            await each.stop()
        await proxy.stop()


def _same_login(url: str) -> list[str]:
    """What makes a database of the same name and login."""
    login, _, rest = url.removeprefix("postgresql://").partition(":")
    password = rest.partition("@")[0]
    return [f"CREATE ROLE {login} LOGIN PASSWORD '{password}'", f"CREATE DATABASE {login} OWNER {login}"]


async def test_a_service_whose_server_is_read_only_is_not_ready_though_it_only_reads(
    shaken_postgres: PostgresServer, migrations: Path, eventually: Eventually
) -> None:
    database = Database(shaken_postgres.make_database(), migrations=migrations)
    await database.start()
    assert await database.is_reachable()
    _set_read_only(shaken_postgres, "on")
    try:

        async def is_not_ready() -> bool:
            return not await database.is_reachable()

        await eventually(is_not_ready, "the service is not ready")
    finally:
        _set_read_only(shaken_postgres, "off")
    await eventually(database.is_reachable, "the service is ready again")
    await database.stop()


async def test_of_several_hosts_the_one_that_accepts_writes_is_taken(
    pair: tuple[PostgresServer, StandbyServer], migrations: Path
) -> None:
    primary, standby = pair
    url = primary.make_database()
    both = url.replace(f"{primary.host}:{primary.port}", f"{standby.host}:{standby.port},{primary.host}:{primary.port}")
    database = Database(both, migrations=migrations)
    await database.start()
    await database.run(lambda connection: _add(connection, "first"))
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(standby.promote)
    await database.run(lambda connection: _add(connection, "second"))
    assert await _names(database) == {"first", "second"}
    await database.stop()


async def test_a_start_waits_until_its_standby_is_promoted(
    pair: tuple[PostgresServer, StandbyServer], migrations: Path, at_port: AtPort
) -> None:
    primary, standby = pair
    database = Database(at_port(primary.make_database(), standby.port), migrations=migrations)
    starting = asyncio.create_task(database.start())
    await asyncio.sleep(1)
    assert not starting.done()
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(standby.promote)
    async with asyncio.timeout(WRITES_BACK_S_MAX):
        await starting
    await database.run(lambda connection: _add(connection, "first"))
    await database.stop()
