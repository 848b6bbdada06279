"""A database with a journal, an inbox and one table to leave effects in, and a way to wait with a limit."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
import structlog

from cartwright.testkit import servers
from cartwright.testkit.launching import Reaper, rabbitmq
from cartwright.testkit.proxy import Proxy
from cartwright.testkit.servers import NatsServer, PostgresServer, RabbitServer, running_nats, running_rabbit
from chassis.messaging import inbox, journal
from chassis.messaging.broker import Broker
from chassis.messaging.brokers import broker_for
from chassis.messaging.brokers.rabbitmq.broker import RabbitBroker
from chassis.messaging.brokers.rabbitmq.connection import exchange_and_address
from chassis.persistence.database import Connection, Database

SERVERS: dict[str, Callable[[Reaper], AbstractContextManager[NatsServer | RabbitServer]]] = {
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
{journal.NUMBERS}
{journal.ACTORS}
{journal.SIGNED}
{inbox.SCHEMA}
CREATE TABLE effect (name text NOT NULL);
COMMENT ON TABLE journal IS 'append-only: what was said stays said';
-- migrate: rollback
DROP TABLE effect;
"""
    )
    return folder


@pytest.fixture(scope="module")
def service_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of `database`, by its owner. Making one for each test would take longer than most of the tests."""
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def database(service_url: str, migrations: Path) -> AsyncIterator[Database]:
    """An open database whose tables are empty, by the login that a service has."""
    opened = Database(servers.service_url(service_url), owner_url=service_url, migrations=migrations, pool_size_max=5)
    await opened.start()
    await opened.run_as_owner(_empty)
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


@pytest.fixture(scope="session")
def running_server(reaper: Reaper) -> Iterator[Callable[[str], NatsServer | RabbitServer]]:
    """`running_server("rabbitmq")`: the session's own, to kill and to start again. Each test leaves it running."""
    with contextlib.ExitStack() as running:
        started: dict[str, NatsServer | RabbitServer] = {}

        def start(name: str) -> NatsServer | RabbitServer:
            if name == "rabbitmq" and rabbitmq.program() is None:
                pytest.skip(f"RabbitMQ is not installed: {rabbitmq.INSTALL}")
            if name not in started:
                started[name] = running.enter_context(SERVERS[name](reaper))
            return started[name]

        yield start


@pytest.fixture(scope="session", params=SERVERS)
def server(
    request: pytest.FixtureRequest, running_server: Callable[[str], NatsServer | RabbitServer]
) -> NatsServer | RabbitServer:
    """Each broker that there is."""
    return running_server(request.param)


@pytest.fixture
def url(server: NatsServer | RabbitServer) -> str:
    """An EVENTS_URL with a stream or an exchange of its own."""
    return server.url(f"test-{uuid4().hex[:12]}")


@pytest.fixture
def at_port() -> Callable[[str, int], str]:
    """`at_port(url, 1234)` is the same address on another port."""

    def move(url: str, port: int) -> str:
        address = urlsplit(url)
        return address._replace(netloc=f"{address.netloc.rpartition(':')[0]}:{port}").geturl()

    return move


@pytest.fixture
async def way(url: str, at_port: Callable[[str, int], str]) -> AsyncIterator[tuple[Proxy, str]]:
    """A way to the broker, and the EVENTS_URL that leads by it.

    It is cut and mended at once, where to kill a broker and to start it again takes seconds.
    """
    port = urlsplit(url).port
    assert port is not None
    proxy = Proxy(port)
    yield proxy, at_port(url, await proxy.start())
    await proxy.stop()


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


@pytest.fixture
def rabbit(running_server: Callable[[str], NatsServer | RabbitServer]) -> RabbitServer:
    """For what is RabbitMQ's own."""
    server = running_server("rabbitmq")
    assert isinstance(server, RabbitServer)
    return server


@pytest.fixture
def exchange() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def new_broker(rabbit: RabbitServer, exchange: str) -> AsyncIterator[Callable[[], Awaitable[RabbitBroker]]]:
    """`await new_broker()` is connected."""
    brokers: list[RabbitBroker] = []

    async def make() -> RabbitBroker:
        broker = RabbitBroker(rabbit.url(exchange), "test")
        brokers.append(broker)
        await broker.start()
        async with asyncio.timeout(30):
            while not (broker._outgoing.is_up and broker._incoming.is_up):
                await asyncio.sleep(0.01)
        return broker

    yield make
    for broker in brokers:
        await broker.stop()


@pytest.fixture
async def operator(rabbit: RabbitServer) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """The channel of an operator who changes the server by hand."""
    _, address = exchange_and_address(rabbit.url(""))
    async with await aio_pika.connect(address) as connection:
        yield await connection.channel()
