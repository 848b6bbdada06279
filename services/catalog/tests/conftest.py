"""A running catalog on a real PostgreSQL, and a catalog's database without the service around it.

The users service is a peer: of it only the keys are needed, which a small server of our own hands out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from litestar import Litestar
from uuid_utils.compat import uuid7

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.service import NO_REVOCATIONS
from catalog import app
from catalog.app import MIGRATIONS, build
from catalog.create_product import create_product
from catalog.domain.reservation import Wanted, WantedLine
from catalog.messages import CreateProduct, Product
from catalog.settings import Settings
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from chassis.values.money import Money

NO_BROKER = "nats://127.0.0.1:9/cartwright"
"""Nobody listens there: the journal buffers, and the tests read it."""
READY_S_MAX = 15.0
DEMO_SHOP = Path(app.__file__).parent / "demo-shop.json"

MakeSettings = Callable[..., Settings]


class Service:
    """What a test does to a running service."""

    def __init__(self, client: httpx.AsyncClient, app: Litestar, database_url: str, tokens: Mapping[str, str]) -> None:
        self.client = client
        self.app = app
        self._database_url = database_url
        self._tokens = tokens

    async def call(self, method: str, path: str, *, by: str | None = None, **options: Any) -> httpx.Response:
        """`by` is one of `admin`, `customer`, `orders`, `storefront`, `payments`."""
        headers = dict(options.pop("headers", {}))
        if by is not None:
            headers["authorization"] = f"Bearer {self._tokens[by]}"
        return await self.client.request(method, path, headers=headers, **options)

    async def product(self, **changes: Any) -> dict[str, Any]:
        """A new product, as its creation answered it."""
        body = {"sku": f"S-{uuid7()}", "name": "Lamp", "price": {"amount": "10.00", "currency": "USD"}, "stock": 5}
        answer = await self.call("POST", "/products", by="admin", json={**body, **changes})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def stock_of(self, product_id: str) -> int:
        stock: int = (await self.client.get(f"/products/{product_id}")).json()["stock"]
        return stock

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """One to the service's database, and not of its pool."""
        connection = await asyncpg.connect(self._database_url, timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(query, *arguments)

    async def told(self, product_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The events about a product, in order: type and data."""
        rows = await self.rows("SELECT type, data FROM journal WHERE subject = $1 ORDER BY position", product_id)
        return [(row["type"], msgspec.json.decode(row["data"])) for row in rows]


@pytest.fixture(scope="session")
def tokens(access_token: Callable[..., str], service_token: Callable[[str, str], str]) -> dict[str, str]:
    """A token for everybody who calls catalog."""
    people = {
        "admin": access_token(user_id=str(uuid7()), roles=["customer", "admin"]),
        "customer": access_token(user_id=str(uuid7())),
    }
    return people | {name: service_token(name, "catalog") for name in ("orders", "storefront", "payments")}


@pytest.fixture(scope="session")
def settings(service_keys: Mapping[str, str], service_jwks: str) -> MakeSettings:
    def make(database_url: str, users_url: str, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": database_url,
            "users_url": users_url,
            "events_url": NO_BROKER,
            "service_key": service_keys["catalog"],
            "service_keys": service_jwks,
        }
        return Settings(**(values | changes))

    return make


@asynccontextmanager
async def fake_users(user_jwks: str) -> AsyncIterator[str]:
    """The address of a users service that has nothing but its keys."""

    async def keys(_: web.Request) -> web.Response:
        return web.Response(text=user_jwks, content_type="application/json")

    async def no_revocations(_: web.Request) -> web.Response:
        return web.json_response(NO_REVOCATIONS)

    users = web.Application()
    users.router.add_get("/.well-known/jwks.json", keys)
    users.router.add_get("/revocations", no_revocations)
    async with TestServer(users) as server:
        yield str(server.make_url("/"))


@asynccontextmanager
async def running(settings: Settings, tokens: Mapping[str, str]) -> AsyncIterator[Service]:
    """The service, started and ready.

    It runs in the test's own loop, and not in a thread as under the framework's test client, so that the peers that a
    test fakes can answer it. Its lifespan has to end in the task that it began in, hence one of its own.
    """
    catalog = build(settings)
    ended = asyncio.Event()

    async def live() -> None:
        async with catalog.lifespan():
            await ended.wait()

    life = asyncio.create_task(live())
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(catalog), base_url="http://catalog") as client:

            async def is_ready() -> bool:
                return (await client.get("/ready")).status_code == 200

            await until(is_ready, "the service is ready")
            yield Service(client, catalog, settings.database_url, tokens)
    finally:
        ended.set()
        await life


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = READY_S_MAX) -> None:
    """Wait for `condition`, up to a limit."""
    ends_at = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < ends_at, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    settings: MakeSettings, migrated: MigratedDatabases, user_jwks: str, tokens: Mapping[str, str]
) -> AsyncIterator[Service]:
    """One service for a module: its tests take products of their own."""
    with migrated(MIGRATIONS) as database_url:
        async with fake_users(user_jwks) as users_url, running(settings(database_url, users_url), tokens) as service:
            yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    settings: MakeSettings, migrated: MigratedDatabases, user_jwks: str, tokens: Mapping[str, str]
) -> AsyncIterator[Service]:
    """The demo shop."""
    with migrated(MIGRATIONS) as database_url:
        async with (
            fake_users(user_jwks) as users_url,
            running(settings(database_url, users_url, demo_shop=str(DEMO_SHOP)), tokens) as service,
        ):
            yield service


async def found(service: Service, **query: Any) -> list[dict[str, Any]]:
    """The products that a search finds, up to 100."""
    answer = await service.client.get("/products", params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def found_by_page(service: Service, limit: int, **query: Any) -> list[dict[str, Any]]:
    """The same, one page after the other, each of which is full but the last."""
    items: list[dict[str, Any]] = []
    going_on: dict[str, str] = {}
    while True:
        answer = await service.client.get("/products", params={**query, "limit": limit, **going_on})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == limit
        going_on = {"cursor": page["next_cursor"]}


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Database]:
    """Catalog's database, migrated: one pool, as one replica has it."""
    database = Database(database_url, migrations=MIGRATIONS, pool_size_max=10)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(migrated: MigratedDatabases) -> AsyncIterator[tuple[Database, Database]]:
    """Two pools to one database, which a module's tests share: each takes products of its own."""
    with migrated(MIGRATIONS) as database_url:
        async with opened(database_url) as one, opened(database_url) as other:
            yield one, other


@pytest.fixture
def database(replicas: tuple[Database, Database]) -> Database:
    return replicas[0]


async def stocked(database: Database, stock: int, *, price: str = "10.00", currency: str = "USD") -> Product:
    """A new product with so much in stock."""
    request = CreateProduct(sku=f"S-{uuid7()}", name="Lamp", price=Money(price, currency), stock=stock)
    return await create_product(database, request, created_by=None, key=None)


def wanted(*lines: tuple[UUID, int], order_id: UUID | None = None, expected: tuple[int, str] | None = None) -> Wanted:
    """An order of so much of each product."""
    return Wanted(order_id or uuid7(), [WantedLine(*line) for line in lines], expected)


def event_of(kind: str, data: dict[str, Any], correlation_id: str = "c-1") -> Envelope:
    """An event as it comes from orders."""
    return Envelope(
        id=uuid7(),
        source="/orders",
        type=kind,
        subject=data["order_id"],
        time=datetime.now(UTC),
        sequence="1",
        correlationid=correlation_id,
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


class Balance(msgspec.Struct, frozen=True):
    """A product in the view `stock_balance`."""

    adjusted: int
    available: int
    held: int
    sold: int
    difference: int


async def balance_of(database: Database, product_id: UUID) -> Balance:
    row = await database.read(
        lambda connection: connection.fetchrow(
            "SELECT adjusted, available, held, sold, difference FROM stock_balance WHERE product_id = $1", product_id
        )
    )
    assert row is not None
    return Balance(*(int(value) for value in row))
