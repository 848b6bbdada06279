"""Serves a service's application on a real socket, for its tests: as the gateway and the other services meet it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from litestar import Litestar

from chassis.security.tokens import Caller

WAIT_S_MAX = 15.0
NO_REVOCATIONS: dict[str, Any] = {"items": [], "cursor": "3:3:", "issued_before": None}
"""What a users service that a test plays answers at /revocations."""


class NothingRevoked:
    """The `Rights` of a service that stands alone: each token is as good as when it was issued."""

    async def confirm(self, caller: Caller) -> None:
        """Good."""


async def until(condition: Callable[[], Awaitable[bool] | bool], what: str = "", seconds: float = WAIT_S_MAX) -> None:
    """Return once `condition` holds. Fails when it does not within the limit, and says `what` was waited for."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if await holds if isinstance(holds, Awaitable) else holds:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what or condition}") from None


@asynccontextmanager
async def ready_client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`, which listens on a port of its own and is ready. Its `base_url` is the address."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="on", ws="none", log_config=None, access_log=False, server_header=False)
    )
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, "the service listens")
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address, timeout=WAIT_S_MAX) as client:

            async def is_ready() -> bool:
                return (await client.get("/ready")).status_code == 200

            await until(is_ready, "the service is ready")
            yield client
    finally:
        server.should_exit = True
        await serving
