"""Generated and unknown requests get a defined answer, and never a server error."""

import asyncio
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies

bounded = hypothesis.settings(max_examples=15, derandomize=True, deadline=None, database=None)
texts = strategies.text(max_size=250)


@pytest.fixture
def address(client: httpx.AsyncClient) -> str:
    """The URL of the storefront, for requests from another thread."""
    return str(client.base_url)


async def test_no_generated_request_causes_a_server_error(address: str, as_customer: dict[str, str]) -> None:
    def fuzz() -> None:
        for operation in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():

            @hypothesis.given(case=operation.ok().as_strategy())
            @bounded
            def call(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=as_customer, checks=[schemathesis.checks.not_a_server_error])

            call()

    await asyncio.to_thread(fuzz)


async def test_no_generated_search_causes_a_server_error(address: str) -> None:
    def fuzz() -> None:
        with httpx.Client(base_url=address) as client:

            @hypothesis.given(text=texts, category=texts, cursor=texts)
            @bounded
            def search(text: str, category: str, cursor: str) -> None:
                answer = client.get("/", params={"q": text, "category": category, "cursor": cursor})
                assert answer.status_code in {200, 422}, answer.text

            search()

    await asyncio.to_thread(fuzz)


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/docs/asyncapi.json", "/docs/openapi/orders.json", "/static/style.css"]
)
async def test_each_page_answers_head(path: str, client: httpx.AsyncClient) -> None:
    page, head = await client.get(path), await client.head(path)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "cache-control"):
        assert head.headers.get(name) == page.headers.get(name)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing-here", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("GET", "/static/nothing.css", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("DELETE", "/docs", 405, "method_not_allowed"),
    ],
)
async def test_an_unknown_path_or_method_gets_a_problem(
    method: str, path: str, status: int, code: str, client: httpx.AsyncClient
) -> None:
    answer: Any = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code
