"""A database with a journal, an inbox and one table to leave effects in, and a way to wait with a limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from chassis import inbox, journal
from chassis.database import Database

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


@pytest.fixture
async def database(database_url: str, migrations: Path) -> AsyncIterator[Database]:
    opened = Database(database_url, migrations=migrations, pool_size_max=5)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(condition, "what is hoped for")` fails when it is not so within ten seconds."""

    async def wait(condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + 10
        while not await condition():
            assert time.monotonic() < deadline, f"after 10 s it is still not so that {what}"
            await asyncio.sleep(0.02)

    return wait
