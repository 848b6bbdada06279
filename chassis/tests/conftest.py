"""A database with a journal, an inbox and one table to leave effects in, and a way to wait with a limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import structlog

from cartwright.embedded.scratch import ScratchPostgres
from chassis import inbox, journal
from chassis.database import Connection, Database

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    # The colourful tracebacks that structlog has by default take half a second each.
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )


@pytest.fixture(scope="session")
def migrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service") / "migrations"
    folder.mkdir()
    folder.joinpath("0001_first.sql").write_text(
        f"""-- The first tables
-- depends:

-- migrate: apply
{journal.SCHEMA}
{inbox.SCHEMA}
CREATE TABLE effect (name text NOT NULL);
-- migrate: rollback
DROP TABLE effect;
"""
    )
    return folder


@pytest.fixture(scope="module")
def service_url(postgres: ScratchPostgres) -> Iterator[str]:
    """The address of `database`. Making one for each test would take longer than most of the tests."""
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def database(service_url: str, migrations: Path) -> AsyncIterator[Database]:
    """An open database whose tables are empty."""
    opened = Database(service_url, migrations=migrations, pool_size_max=5)
    await opened.start()
    await opened.run(_empty)
    yield opened
    await opened.stop()


async def _empty(connection: Connection) -> None:
    await connection.execute(
        """
        TRUNCATE journal, inbox, dead_letters, effect RESTART IDENTITY;
        UPDATE journal_relay
        SET transaction_id = '0', position = 0, holder = NULL, leased_until = '-infinity';
        """
    )


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(condition, "what is hoped for")` fails when it is not so within ten seconds."""

    async def wait(condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + 10
        while not await condition():
            assert time.monotonic() < deadline, f"after 10 s it is still not so that {what}"
            await asyncio.sleep(0.02)

    return wait
