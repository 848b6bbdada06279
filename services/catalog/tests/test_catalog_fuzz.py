"""No request gets a 5xx, whether it fits the OpenAPI document or not."""

import asyncio
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from services.catalog.tests.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECONDS_MAX = 10.0
OPERATIONS_AT_LEAST = 14


async def test_no_input_makes_an_operation_fail(service: Service) -> None:
    # The generator is synchronous: it runs in a thread of its own, and its requests run in this loop.
    loop = asyncio.get_running_loop()
    document = (await service.client.get("/openapi.json")).json()

    def send(request: dict[str, Any], caller: str) -> httpx.Response:
        request = {name: value for name, value in request.items() if name != "cookies"}
        request["headers"] = {name: value for name, value in request["headers"].items() if name.isascii()}
        answer = service.call(request.pop("method"), request.pop("url"), by=caller, **request)
        return asyncio.run_coroutine_threadsafe(answer, loop).result(SECONDS_MAX)

    def fuzz() -> int:
        operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
        for operation in operations:
            callers = ["admin", "orders"] if "lookup" not in operation.path else ["storefront"]

            @settings(
                max_examples=6,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(
                case=st.one_of(*(operation.as_strategy(mode) for mode in GenerationMode)),
                caller=st.sampled_from(callers),
            )
            def ask(case: schemathesis.Case, caller: str) -> None:
                answer = send(case.as_transport_kwargs(base_url="http://catalog"), caller)
                assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text}"

            ask()
        return len(operations)

    assert await asyncio.to_thread(fuzz) >= OPERATIONS_AT_LEAST
    differences = await service.rows("SELECT product_id FROM stock_balance WHERE difference <> 0")
    assert differences == []
