"""Databases with the tables of a service, for its tests: copied, which takes a fifth of what making them takes."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cartwright.testkit.servers import PostgresServer, service_url
from chassis.persistence.database import Database


class MigratedDatabases:
    """`with databases(MIGRATIONS) as url` is a database of one's own in which these migrations have been applied.

    The URL is that of the login by which a service runs, so that a missing grant is seen (`scratch.owner_url`).
    """

    def __init__(self, postgres: PostgresServer) -> None:
        self._postgres = postgres
        self._originals: dict[Path, str] = {}

    @contextlib.contextmanager
    def __call__(self, migrations: Path) -> Iterator[str]:
        if migrations not in self._originals:
            self._originals[migrations] = self._make_original(migrations)
        url = self._postgres.copy_database(self._originals[migrations])
        yield service_url(url)
        self._postgres.drop_database(url)

    def _make_original(self, migrations: Path) -> str:
        url = self._postgres.make_database()
        # In a thread, since the caller may run in a loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _migrate(url, migrations)).result()
        return url


async def _migrate(url: str, migrations: Path) -> None:
    database = Database(service_url(url), owner_url=url, migrations=migrations)
    await database.start()
    await database.stop()
