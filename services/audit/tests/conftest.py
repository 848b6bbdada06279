"""The audit service on a real database and broker; only the users service, for its public keys, is played here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from uuid_utils.compat import uuid7

from audit.app import MIGRATIONS, build
from audit.settings import Settings
from chassis.database import Database
from chassis.envelope import Envelope

MakeEvent = Callable[..., Envelope]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def make_event() -> MakeEvent:
    def make(type_: str = "order.placed", data: Any = None, **members: Any) -> Envelope:
        given = {
            "id": uuid7(),
            "source": "/orders",
            "type": type_,
            "subject": str(uuid7()),
            "time": datetime.now(UTC),
            "sequence": "1",
            "correlationid": str(uuid7()),
            "data": data if isinstance(data, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(data or {})),
        }
        return Envelope(**(given | members))

    return make


@pytest.fixture
async def users_url(user_jwks: str) -> AsyncIterator[str]:
    async def keys(_: web.Request) -> web.Response:
        return web.Response(text=user_jwks, content_type="application/json")

    peer = web.Application()
    peer.router.add_get("/.well-known/jwks.json", keys)
    async with TestServer(peer) as server:
        yield str(server.make_url(""))


@pytest.fixture
def settings(
    database_url: str,
    events_url: str,
    users_url: str,
    service_keys: dict[str, str],
    service_jwks: str,
    tmp_path: Path,
) -> Settings:
    return Settings(
        database_url=database_url,
        events_url=events_url,
        users_url=users_url,
        service_key=service_keys["audit"],
        service_keys=service_jwks,
        data_dir=str(tmp_path / "audit"),
    )


Until = Callable[[Callable[[], Awaitable[bool] | bool]], Awaitable[None]]
Serve = Callable[[Settings], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def until() -> Until:
    """`await until(condition)` returns once the condition holds, and fails when it does not within 15 seconds."""

    async def wait(condition: Callable[[], Awaitable[bool] | bool]) -> None:
        async with asyncio.timeout(15):
            while True:
                holds = condition()
                if await holds if isinstance(holds, Awaitable) else holds:
                    return
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
async def serve(until: Until) -> AsyncIterator[Serve]:
    """`await serve(settings)` runs the service on a real socket; a client of it once it is ready."""
    async with AsyncExitStack() as running:

        async def start(settings: Settings) -> httpx.AsyncClient:
            server = uvicorn.Server(uvicorn.Config(build(settings), port=0, log_config=None, lifespan="on"))
            serving = asyncio.create_task(server.serve())
            running.push_async_callback(lambda: serving)
            running.callback(setattr, server, "should_exit", True)
            await until(lambda: server.started)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            client = await running.enter_async_context(httpx.AsyncClient(base_url=url))

            async def ready() -> bool:
                return (await client.get("/ready")).status_code == 200

            await until(ready)
            return client

        yield start


@pytest.fixture
async def client(settings: Settings, serve: Serve) -> httpx.AsyncClient:
    return await serve(settings)


@pytest.fixture
def as_administrator(access_token: Callable[..., str]) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token(str(uuid7()), ['customer', 'admin'])}"}
