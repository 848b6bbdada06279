"""Whatever the OpenAPI document allows, and what it does not, is answered without a mistake on our side."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
import uvicorn
from hypothesis import given
from hypothesis import settings as effort
from litestar import Litestar
from uuid_utils.compat import uuid7

from .conftest import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
INTERNAL = {"/payments": "orders", "/payments/void": "orders", "/payments/lookup": "notifications"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(app: Litestar) -> AsyncIterator[str]:
    """The service on a port, once it may get traffic: schemathesis asks from a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())

    async def listens() -> bool:
        return server.started

    await eventually(listens)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    async def is_ready() -> bool:
        return (await asyncio.to_thread(requests.get, f"{address}/ready", timeout=5)).status_code == 200

    await eventually(is_ready)
    yield address
    server.should_exit = True
    await serving


async def test_no_made_up_request_makes_a_server_error(address: str, service_token: Any, access_token: Any) -> None:
    admin = access_token(user_id=str(uuid7()), roles=["customer", "admin"])
    asked: set[str] = set()

    def ask_everything() -> None:
        session = requests.Session()
        for found in schemathesis.openapi.from_url(f"{address}/openapi.json", wait_for_schema=10).get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @effort(max_examples=12, derandomize=True, deadline=None, database=None)
            def ask(case: schemathesis.Case) -> None:
                caller = INTERNAL.get(case.path) if case.method.upper() == "POST" else None
                token = service_token(caller, "payments") if caller is not None else admin
                case.call_and_validate(
                    session=session,
                    headers={"authorization": f"Bearer {token}"},
                    checks=[schemathesis.checks.not_a_server_error],
                )

            ask()
            asked.add(operation.label)

    await asyncio.to_thread(ask_everything)
    document = (await asyncio.to_thread(requests.get, f"{address}/openapi.json", timeout=5)).json()
    assert asked == {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert asked >= {"POST /payments", "POST /payments/void", "POST /payments/{payment_id}/refunds", "GET /ledger"}
