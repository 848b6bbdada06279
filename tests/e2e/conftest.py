"""The systems of the end-to-end tests, and their clients: customers, and the administrator."""

import asyncio
import contextlib
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from cartwright.launcher import api
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.part_views import PartView
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.watch import read_once
from cartwright.testkit.system import SystemUnderTest, running_system

PURCHASE_SECONDS_MAX = 30
TRICKLE_SECONDS_MAX = 30
PASSWORD = "correct horse battery staple"


def look(system: SystemUnderTest) -> dict[str, PartView]:
    """Its parts as `cartwright status` shows them, without the second that the command takes to load."""
    return {view.name: view for view in asyncio.run(read_once(system.opened()))}


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Iterator[SystemUnderTest]:
    """The system that the end-to-end tests share; a test that breaks it takes `own_system`."""
    with running_system(tmp_path_factory.mktemp("system") / "data", reaper) as running:
        yield running


@pytest.fixture(scope="module")
def own_system(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Iterator[SystemUnderTest]:
    """A system for the tests of one module, which stop it, start it and kill parts of it."""
    with running_system(tmp_path_factory.mktemp("own-system") / "data", reaper) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(system: SystemUnderTest) -> Api:
    """A client that is not signed in."""
    return api.gateway(system.opened())


@pytest.fixture(scope="session")
def administrator(system: SystemUnderTest) -> Api:
    return api.administrator(system.opened())


@pytest.fixture(scope="session")
def new_customer(gateway: Api) -> Callable[[], Api]:
    """Registers a customer and signs in. The password is `PASSWORD`."""

    def register() -> Api:
        email = f"ada-{secrets.token_hex(6)}@example.com"
        answer = gateway.post("/users", {"email": email, "name": "Ada Lovelace", "password": PASSWORD})
        assert answer.status == 201, answer.json
        return gateway.signed_in(email, PASSWORD)

    return register


@pytest.fixture(scope="session")
def password() -> str:
    """The password of each customer from `new_customer`."""
    return PASSWORD


@pytest.fixture(scope="module")
def customer(new_customer: Callable[[], Api]) -> Api:
    return new_customer()


@pytest.fixture(scope="session")
def new_product(administrator: Api) -> Callable[..., str]:
    """Puts a product into the shop, which no other test buys; answers its id."""

    def create(stock: int, price: str = "49.99") -> str:
        answer = administrator.post(
            "/products",
            {
                "sku": f"TEST-{secrets.token_hex(6)}",
                "name": "Lamp",
                "price": {"amount": price, "currency": "USD"},
                "stock": stock,
            },
        )
        assert answer.status == 201, answer.json
        return str(answer.json["id"])

    return create


@pytest.fixture(scope="session")
def stock_of(gateway: Api) -> Callable[[str], int]:
    return lambda product_id: int(gateway.get(f"/products/{product_id}").json["stock"])


@pytest.fixture(scope="session")
def buy() -> Callable[..., Answer]:
    """`buy(customer, {product_id: quantity})` answers how the purchase ended, however long a busy machine takes.

    A purchase that is answered 202 is asked for again with the same key, as the promise about keys allows.
    """

    def purchase(buyer: Api, quantities: dict[str, int] | None = None, key: str | None = None, **more: Any) -> Answer:
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), "X-Request-Id": str(uuid.uuid4())}
        body = more
        if quantities is not None:
            body["items"] = [{"product_id": product, "quantity": quantity} for product, quantity in quantities.items()]
        deadline = time.monotonic() + PURCHASE_SECONDS_MAX
        answer = buyer.post("/orders", body, headers)
        while answer.status == 202 or answer.json.get("code") == "key_in_progress":
            assert time.monotonic() < deadline, f"the order did not end: {answer.json}"
            time.sleep(0.1)
            answer = buyer.post("/orders", body, headers)
        return answer

    return purchase


@pytest.fixture(scope="session")
def slow_client(system: SystemUnderTest, new_customer: Callable[[], Api]) -> Iterator[Future[bytes]]:
    """The answer to an order that arrives byte by byte, as soon as the gateway refuses it."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_trickle, system.port, new_customer())


def _trickle(port: int, customer: Api) -> bytes:
    head = (
        f"POST /api/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {customer.access_token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n"
    )
    deadline = time.monotonic() + TRICKLE_SECONDS_MAX
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.settimeout(0.1)
        connection.sendall(head.encode())
        while time.monotonic() < deadline:
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                return connection.recv(65_536)
    return b""
