"""A database with a journal, an inbox and one table to leave effects in, and a way to wait with a limit."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from cartwright.embedded import rabbitmq
from cartwright.embedded.last_will import LastWill
from cartwright.embedded.scratch import ScratchNats, ScratchPostgres, ScratchRabbit, running_nats, running_rabbit
from chassis import inbox, journal
from chassis.broker import Broker, broker_for
from chassis.database import Connection, Database

SERVERS: dict[str, Callable[[LastWill], AbstractContextManager[ScratchNats | ScratchRabbit]]] = {
    "nats": running_nats,
    "rabbitmq": running_rabbit,
}
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


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, last_will: LastWill) -> Iterator[ScratchNats | ScratchRabbit]:
    """Each broker that there is, for the tests of one module to kill and to start again."""
    if request.param == "rabbitmq" and rabbitmq.program() is None:
        pytest.skip(f"RabbitMQ is not installed: {rabbitmq.INSTALL}")
    with SERVERS[request.param](last_will) as running:
        yield running


@pytest.fixture
def url(server: ScratchNats | ScratchRabbit) -> str:
    """An EVENTS_URL with a stream or an exchange of its own."""
    return server.url(f"test-{uuid4().hex[:12]}")


@pytest.fixture
async def broker(url: str) -> AsyncIterator[Broker]:
    broker = broker_for(url, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(condition, "what is hoped for")` fails when it is not so within ten seconds."""

    async def wait(condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + 10
        while not await condition():
            assert time.monotonic() < deadline, f"after 10 s it is still not so that {what}"
            await asyncio.sleep(0.02)

    return wait
