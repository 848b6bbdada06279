"""No request causes a server error, whether the OpenAPI document allows it or not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
import uvicorn
from hypothesis import given
from hypothesis import settings as generation
from litestar import Litestar
from uuid_utils.compat import uuid7

from .conftest import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
INTERNAL = {"/payments": "orders", "/payments/void": "orders", "/payments/lookup": "notifications"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(app: Litestar) -> AsyncIterator[str]:
    """The service on a port, when it is ready: schemathesis calls it from another thread."""
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


async def test_no_generated_request_causes_a_server_error(address: str, service_token: Any, access_token: Any) -> None:
    admin = access_token(user_id=str(uuid7()), roles=["customer", "admin"])
    called: set[str] = set()

    def call_every_operation() -> None:
        session = requests.Session()
        for found in schemathesis.openapi.from_url(f"{address}/openapi.json", wait_for_schema=10).get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @generation(max_examples=12, derandomize=True, deadline=None, database=None)
            def call(case: schemathesis.Case) -> None:
                caller = INTERNAL.get(case.path) if case.method.upper() == "POST" else None
                token = service_token(caller, "payments") if caller is not None else admin
                case.call_and_validate(
                    session=session,
                    headers={"authorization": f"Bearer {token}"},
                    checks=[schemathesis.checks.not_a_server_error],
                )

            call()
            called.add(operation.label)

    await asyncio.to_thread(call_every_operation)
    document = (await asyncio.to_thread(requests.get, f"{address}/openapi.json", timeout=5)).json()
    assert called == {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert called >= {"POST /payments", "POST /payments/void", "POST /payments/{payment_id}/refunds", "GET /ledger"}
