"""A running catalog on a real PostgreSQL, and the database of a catalog without the service.

Of the users service catalog needs only the keys and the revocations, which a small server of the tests answers.
"""

import asyncio
import shutil
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
from catalog.creation import Creation
from catalog.domain.product import NewProduct, Product
from catalog.domain.reservation import StockRequest, StockRequestLine
from catalog.settings import Settings
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database

NO_BROKER = "nats://127.0.0.1:9/cartwright"
"""No broker listens there: the journal keeps the events, and the tests read it."""
READY_S_MAX = 15.0
DEMO_SHOP = Path(app.__file__).parent / "demo-shop.json"

INSERT_PRODUCT = """
    WITH written AS (
        INSERT INTO products (id, sku, name, description, price_minor, currency, attributes)
        VALUES ($1, $2, $3, $4, 100, 'USD', '{}')
        RETURNING id
    )
    INSERT INTO stock (product_id, available) SELECT id, 1 FROM written
"""
INSERT_PRODUCT_BEFORE_0009 = INSERT_PRODUCT.replace("attributes)", "attributes, trigrams)").replace(
    "'{}')", "'{}', '{}')"
)

MakeSettings = Callable[..., Settings]


class Service:
    """A client of a running service, and a reader of its database."""

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
        """A new product, as the response shows it."""
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
        """A connection to the database of the service, outside its pool."""
        connection = await asyncpg.connect(self._database_url, timeout=5)
        try:
            yield connection
        finally:
            await connection.close()

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(query, *arguments)

    async def events_of(self, product_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The events of a product, in order: type and data."""
        rows = await self.rows("SELECT type, data FROM journal WHERE subject = $1 ORDER BY position", product_id)
        return [(row["type"], msgspec.json.decode(row["data"])) for row in rows]


@pytest.fixture(scope="session")
def tokens(access_token: Callable[..., str], service_token: Callable[[str, str], str]) -> dict[str, str]:
    """A token for each caller of catalog."""
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
    """The address of a users service that has keys and no revocations."""

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

    It runs in the loop of the test, so that the peers that a test fakes can answer it. The framework's test client
    would run it in a thread. A lifespan has to end in the task in which it began, so it has a task of its own.
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
    """Wait for `condition`, and fail after `seconds`."""
    ends_at = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < ends_at, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    settings: MakeSettings, migrated: MigratedDatabases, user_jwks: str, tokens: Mapping[str, str]
) -> AsyncIterator[Service]:
    """One service for a module, whose tests add products of their own."""
    with migrated(MIGRATIONS) as database_url:
        async with fake_users(user_jwks) as users_url, running(settings(database_url, users_url), tokens) as service:
            yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    settings: MakeSettings, migrated: MigratedDatabases, user_jwks: str, tokens: Mapping[str, str]
) -> AsyncIterator[Service]:
    """A service with the demo shop."""
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
    """The same, page by page. Each page is full but the last."""
    items: list[dict[str, Any]] = []
    resume: dict[str, str] = {}
    while True:
        answer = await service.client.get("/products", params={**query, "limit": limit, **resume})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert len(page["items"]) == limit
        resume = {"cursor": page["next_cursor"]}


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[Database]:
    """Catalog's database, migrated: one pool, as one replica has it."""
    database = Database(database_url, migrations=MIGRATIONS, pool_size_max=10)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


async def migrated_by(database_url: str, folder: Path, pattern: str) -> Database:
    """Catalog's database after the migrations of `pattern`, as a replica of an earlier version has it. Stop it."""
    for migration in MIGRATIONS.glob(pattern):
        shutil.copy(migration, folder)
    database = Database(database_url, migrations=folder)
    await database.start()
    return database


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(migrated: MigratedDatabases) -> AsyncIterator[tuple[Database, Database]]:
    """Two pools to one database, which the tests of a module share: each adds products of its own."""
    with migrated(MIGRATIONS) as database_url:
        async with opened(database_url) as one, opened(database_url) as other:
            yield one, other


@pytest.fixture
def database(replicas: tuple[Database, Database]) -> Database:
    return replicas[0]


async def stocked(database: Database, stock: int, *, price_minor: int = 1_000) -> Product:
    """A new product with this stock."""
    return await create_product(database, new_product(stock=stock, price_minor=price_minor), new_creation())


def new_product(*, stock: int, price_minor: int = 1_000) -> NewProduct:
    return NewProduct(
        sku=f"S-{uuid7()}",
        name="Lamp",
        description="",
        category=None,
        price_minor=price_minor,
        currency="USD",
        attributes={},
        stock=stock,
    )


def new_creation() -> Creation:
    """The creation of a request without a key."""
    return Creation.without_request()


def stock_request(
    *lines: tuple[UUID, int], order_id: UUID | None = None, expected: tuple[int, str] | None = None
) -> StockRequest:
    """An order of a quantity of each product."""
    return StockRequest(order_id or uuid7(), [StockRequestLine(*line) for line in lines], expected)


def event_of(kind: str, data: dict[str, Any], correlation_id: str = "c-1") -> Envelope:
    """An event as orders emits it."""
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
    """The row of a product in the view `stock_balance`."""

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
