"""Newservice on a real database and broker. The users service is a fake."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.service import NO_REVOCATIONS
from chassis.persistence.database import Database
from newservice.app import MIGRATIONS, build
from newservice.settings import Settings


@pytest.fixture
def database_url(migrated: MigratedDatabases) -> Iterator[str]:
    """A database with the empty tables of the service."""
    with migrated(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
async def users_url(user_jwks: str) -> AsyncIterator[str]:
    async def keys(_: web.Request) -> web.Response:
        return web.Response(text=user_jwks, content_type="application/json")

    async def no_revocations(_: web.Request) -> web.Response:
        return web.json_response(NO_REVOCATIONS)

    fake_users = web.Application()
    fake_users.router.add_get("/.well-known/jwks.json", keys)
    fake_users.router.add_get("/revocations", no_revocations)
    async with TestServer(fake_users) as server:
        yield str(server.make_url(""))


@pytest.fixture
async def client(
    database_url: str,
    events_url: str,
    users_url: str,
    service_keys: dict[str, str],
    service_jwks: str,
    serve: Callable[..., Awaitable[httpx.AsyncClient]],
) -> httpx.AsyncClient:
    settings = Settings(
        database_url=database_url,
        events_url=events_url,
        users_url=users_url,
        service_key=service_keys["newservice"],
        service_keys=service_jwks,
    )
    return await serve(build(settings))
