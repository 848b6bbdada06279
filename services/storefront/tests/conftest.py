"""A running storefront. Local servers play its peers, and answer with the examples of the contracts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cartwright.testkit.service import NO_REVOCATIONS
from storefront.app import build
from storefront.settings import CONTRACTS, Settings

PEERS = ("users", "catalog", "orders", "payments", "notifications", "audit")
USER_ID = "0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01"


def contract(name: str) -> dict[str, Any]:
    """A file of contracts/http, such as `orders.order`."""
    return dict(msgspec.json.decode((CONTRACTS / "http" / f"{name}.json").read_bytes()))


class FakePeer:
    """A service with configured answers, which records the requests to it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        """By method and path: a value, which is encoded as JSON, or bytes."""
        self.statuses: dict[str, int] = {}
        self.requests: list[tuple[str, dict[str, str], dict[str, str], bytes]] = []
        self.hangs = False
        self._released = asyncio.Event()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._server = TestServer(application)

    async def start(self) -> None:
        await self._server.start_server()
        self.url = str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        self._released.set()
        await self._server.close()

    def request_to(self, route: str) -> tuple[dict[str, str], dict[str, str], bytes]:
        """Headers, query and body of the one request to `route`."""
        [found] = [request[1:] for request in self.requests if request[0] == route]
        return found

    async def _answer(self, request: web.Request) -> web.Response:
        route = f"{request.method} {request.path}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((route, headers, dict(request.query), await request.read()))
        if self.hangs:
            await self._released.wait()
        if route not in self.answers:
            return web.json_response({"status": 404, "code": "not_found", "title": "", "detail": "No."}, status=404)
        answer = self.answers[route]
        body = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        return web.Response(body=body, status=self.statuses.get(route, 200), content_type="application/json")


@pytest.fixture
async def peers(user_jwks: str) -> AsyncIterator[dict[str, FakePeer]]:
    """All peers, running, with one order and its products, payments and messages."""
    running = {name: FakePeer() for name in PEERS}
    for peer in running.values():
        await peer.start()
    order = contract("orders.order")["response"]["examples"][0]
    running["users"].answers["GET /.well-known/jwks.json"] = user_jwks.encode()
    running["users"].answers["GET /revocations"] = NO_REVOCATIONS
    running["orders"].answers[f"GET /orders/{order['id']}"] = order
    running["catalog"].answers["POST /products/lookup"] = contract("catalog.products-lookup")["response"]["examples"][0]
    running["catalog"].answers["GET /products"] = contract("catalog.products")["response"]["examples"][0]
    running["payments"].answers["GET /payments"] = contract("payments.payments-of-order")["response"]["examples"][0]
    running["notifications"].answers["GET /notifications"] = contract("notifications.messages-of-order")["response"][
        "examples"
    ][0]
    for name, peer in running.items():
        peer.answers["GET /openapi.json"] = openapi_of(name)
    yield running
    for peer in running.values():
        await peer.stop()


@pytest.fixture
def order_id() -> str:
    return str(contract("orders.order")["response"]["examples"][0]["id"])


@pytest.fixture
def settings(peers: dict[str, FakePeer], service_keys: dict[str, str], service_jwks: str) -> Settings:
    urls = {f"{name}_url": peer.url for name, peer in peers.items()}
    return Settings(service_key=service_keys["storefront"], service_keys=service_jwks, **urls)


@pytest.fixture
async def client(settings: Settings, serve: Callable[..., Awaitable[httpx.AsyncClient]]) -> httpx.AsyncClient:
    return await serve(build(settings))


@pytest.fixture
def as_customer(access_token: Callable[..., str]) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token(user_id=USER_ID)}"}


def openapi_of(name: str) -> dict[str, Any]:
    """An OpenAPI document with a public and an internal operation on the same path."""
    public = {"$ref": f"#/components/schemas/{name.title()}Thing"}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Cartwright {name}", "version": "1.0.0", "description": f"All about {name}."},
        "paths": {
            f"/{name}-things": {
                "get": {
                    "summary": f"List the {name} things",
                    "security": [{"bearer": []}],
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100, "default": 20}}
                    ],
                    "responses": {
                        "200": {
                            "description": "One page",
                            "content": {"application/json": {"schema": {"type": "array", "items": public}}},
                        }
                    },
                },
                "post": {
                    "summary": "Only for services",
                    "x-internal": True,
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Secret"}}}
                    },
                    "responses": {},
                },
            },
            f"/{name}/internal": {"post": {"x-internal": True, "responses": {}}},
            "/.well-known/jwks.json": {"get": {"summary": "Keys", "responses": {"200": {"description": "Keys"}}}},
        },
        "components": {
            "schemas": {
                f"{name.title()}Thing": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "format": "uuid"},
                        "parent": public,
                        "price": {"$ref": "#/components/schemas/Money"},
                    },
                    "required": ["id"],
                },
                "Money": {"type": "object", "properties": {"amount": {"type": "string"}}, "required": ["amount"]},
                "Secret": {"type": "object", "properties": {"hidden_member": {"type": "string"}}},
            }
        },
    }
