"""The orders service over HTTP, on a real database and broker, with catalog, payments and users played by fakes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import structlog
import uvicorn
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, FakeUsers, serve

from cartwright.testkit.databases import MigratedDatabases
from chassis.persistence.database import Database
from orders.app import MIGRATIONS, build
from orders.settings import Settings


@pytest.fixture
def database_url(migrated: MigratedDatabases) -> Iterator[str]:
    """A database with the service's tables, and nothing in them."""
    with migrated(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def catalog() -> AsyncIterator[FakeCatalog]:
    fake = FakeCatalog()
    async with serve(fake.app()) as fake.url:
        yield fake


@pytest.fixture
async def payments() -> AsyncIterator[FakePayments]:
    fake = FakePayments()
    async with serve(fake.app()) as fake.url:
        yield fake


@pytest.fixture
async def users(user_jwks: str) -> AsyncIterator[FakeUsers]:
    fake = FakeUsers(user_jwks)
    async with serve(fake.app()) as fake.url:
        yield fake


StartOrders = Callable[..., Awaitable[str]]


@pytest.fixture
async def start_orders(
    catalog: FakeCatalog,
    payments: FakePayments,
    users: FakeUsers,
    database_url: str,
    events_url: str,
    service_keys: dict[str, str],
    service_jwks: str,
) -> AsyncIterator[StartOrders]:
    """Starts a replica of the service and answers its address. Settings can be given."""
    async with contextlib.AsyncExitStack() as running:

        async def start(**settings: Any) -> str:
            told = Settings(
                port=0,
                database_url=database_url,
                events_url=events_url,
                service_key=service_keys["orders"],
                service_keys=service_jwks,
                users_url=users.url,
                catalog_url=catalog.url,
                payments_url=payments.url,
                **settings,
            )
            return await running.enter_async_context(_serving(told))

        yield start


@contextlib.asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(
            build(settings), host="127.0.0.1", port=0, lifespan="on", log_config=None, timeout_graceful_shutdown=1
        )
    )
    task = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while not server.started:
                await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            while True:
                async with session.get(f"{url}/ready") as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.02)
        yield url
    finally:
        server.should_exit = True
        await asyncio.wait({task}, timeout=20)


@pytest.fixture
async def make_buyer(users: FakeUsers, access_token: Callable[..., str]) -> AsyncIterator[Callable[..., Buyer]]:
    async with aiohttp.ClientSession() as session:

        def make(base_url: str, roles: list[str] | None = None) -> Buyer:
            user_id = uuid4()
            users.add(user_id)
            return Buyer(user_id, base_url, session, access_token(str(user_id), roles))

        yield make


@pytest.fixture
async def buyer(start_orders: StartOrders, make_buyer: Callable[..., Buyer]) -> Buyer:
    """A buyer at a service with ordinary settings."""
    return make_buyer(await start_orders())


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Callable[..., Awaitable[list[asyncpg.Record]]]]:
    """Rows of the service's database, by a connection of the test's own."""
    connection = await asyncpg.connect(database_url)
    yield connection.fetch
    await connection.close()


@pytest.fixture
def silence() -> Iterator[None]:
    """No logs below critical: thousands of runs in which everything goes wrong have too much to tell."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
