"""Fixtures of payments: the service with a real database and broker, and stand-ins for the services around it."""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.testing import AsyncTestClient
from uuid_utils.compat import uuid7

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.servers import NatsServer
from cartwright.testkit.service import NO_REVOCATIONS
from chassis.persistence.database import Database
from payments.app import MIGRATIONS, build
from payments.settings import Settings

WAIT_MAX_S = 15.0


@pytest.fixture(scope="module")
def module_database_url(migrated: MigratedDatabases) -> Iterator[str]:
    """One database for all tests of a module. Each test uses new ids."""
    with migrated(MIGRATIONS) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(module_database_url: str) -> AsyncIterator[Database]:
    """The service's tables. Modules that use this fixture or `shop` run their tests in one event loop."""
    database = Database(module_database_url, migrations=MIGRATIONS, pool_size_max=10)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture(scope="session")
def users_url(user_jwks: str) -> Iterator[str]:
    """A stand-in for users: it serves the keys of access tokens and an empty list of revocations."""

    no_revocations = msgspec.json.encode(NO_REVOCATIONS)

    class Users(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(no_revocations if self.path.startswith("/revocations") else user_jwks.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Users)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def module_events_url(nats_server: NatsServer) -> str:
    return nats_server.url(f"payments-{secrets.token_hex(6)}")


@pytest.fixture(scope="module")
def app(
    module_database_url: str,
    module_events_url: str,
    service_keys: dict[str, str],
    service_jwks: str,
    users_url: str,
) -> Litestar:
    return build(
        Settings(
            database_url=module_database_url,
            events_url=module_events_url,
            service_key=service_keys["payments"],
            service_keys=service_jwks,
            users_url=users_url,
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(app: Litestar) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A client of the running service, which is ready."""
    async with AsyncTestClient(app) as client:

        async def is_ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(is_ready)
        yield client


async def eventually(condition: Callable[[], Awaitable[Any]]) -> Any:
    """The first true result of `condition`. Fails when there is none within `WAIT_MAX_S`."""
    deadline = time.monotonic() + WAIT_MAX_S
    while not (answer := await condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.02)
    return answer


class Shop:
    """The callers of payments: orders, notifications, a buyer, another buyer and an administrator."""

    def __init__(
        self,
        client: AsyncTestClient[Litestar],
        database_url: str,
        service_token: Callable[[str, str], str],
        access_token: Callable[..., str],
    ) -> None:
        self.client = client
        self.database_url = database_url
        self.access_token = access_token
        self.user_id = uuid7()
        self.orders = {"authorization": f"Bearer {service_token('orders', 'payments')}"}
        self.notifications = {"authorization": f"Bearer {service_token('notifications', 'payments')}"}
        self.buyer = {"authorization": f"Bearer {access_token(user_id=str(self.user_id))}"}
        self.stranger = {"authorization": f"Bearer {access_token(user_id=str(uuid7()))}"}
        admin = access_token(user_id=str(uuid7()), roles=["customer", "admin"])
        self.admin = {"authorization": f"Bearer {admin}"}

    def keyed(self) -> dict[str, str]:
        """The administrator's headers, with a new `Idempotency-Key`."""
        return self.admin | {"idempotency-key": str(uuid7())}

    def item(self, order_id: UUID, method: str | None = None, amount: str = "49.99") -> dict[str, Any]:
        return {
            "order_id": str(order_id),
            "user_id": str(self.user_id),
            "amount": {"amount": amount, "currency": "USD"},
            "payment_method": method,
            "correlation_id": f"buying-{order_id}",
            "traceparent": None,
        }

    async def authorize(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self.client.post("/payments", json={"items": list(items)}, headers=self.orders)
        assert answer.status_code == 200, answer.text
        outcomes: list[dict[str, Any]] = answer.json()["items"]
        return outcomes

    async def void(self, *order_ids: UUID) -> list[str]:
        items = [
            {"order_id": str(order_id), "correlation_id": f"undoing-{order_id}", "traceparent": None}
            for order_id in order_ids
        ]
        answer = await self.client.post("/payments/void", json={"items": items}, headers=self.orders)
        assert answer.status_code == 200, answer.text
        assert [item["order_id"] for item in answer.json()["items"]] == [str(id_) for id_ in order_ids]
        return [item["outcome"] for item in answer.json()["items"]]

    async def look_up(self, *order_ids: UUID) -> list[dict[str, Any]]:
        body = {"order_ids": [str(order_id) for order_id in order_ids]}
        answer = await self.client.post("/payments/lookup", json=body, headers=self.notifications)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def authorized(self, amount: str = "49.99") -> tuple[UUID, UUID]:
        """An order whose payment is authorized, and that payment."""
        order_id = uuid7()
        [outcome] = await self.authorize(self.item(order_id, amount=amount))
        return order_id, UUID(outcome["payment_id"])

    async def captured(self, amount: str = "49.99") -> tuple[UUID, UUID]:
        """An order whose payment is captured, and that payment."""
        order_id, payment_id = await self.authorized(amount)
        answer = await self.client.post(f"/payments/{payment_id}/capture", headers=self.keyed())
        assert answer.json()["status"] == "captured", answer.text
        return order_id, payment_id

    async def age(self, payment_id: UUID) -> None:
        """Make the payment old enough for a manual void."""
        connection = await asyncpg.connect(self.database_url)
        await connection.execute(
            "UPDATE payments SET created_at = created_at - interval '1 day' WHERE id = $1", payment_id
        )
        await connection.close()

    async def payment(self, payment_id: UUID) -> dict[str, Any]:
        answer = await self.client.get(f"/payments/{payment_id}", headers=self.admin)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def wait_for_status(self, payment_id: UUID, status: str) -> None:
        async def has_it() -> bool:
            return bool((await self.payment(payment_id))["status"] == status)

        await eventually(has_it)

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def events(self, subject: UUID) -> list[str]:
        """The types of the events about `subject`, oldest first."""
        rows = await self.rows("SELECT type FROM journal WHERE subject = $1 ORDER BY position", str(subject))
        return [row["type"] for row in rows]


@pytest.fixture(scope="module")
def shop(
    client: AsyncTestClient[Litestar],
    module_database_url: str,
    service_token: Callable[[str, str], str],
    access_token: Callable[..., str],
) -> Shop:
    return Shop(client, module_database_url, service_token, access_token)


def contracts(pattern: str) -> list[tuple[str, dict[str, Any]]]:
    """The contracts whose path in `contracts/` matches, with that path."""
    folder = Path(__file__).parents[3] / "contracts"
    return [(str(path.relative_to(folder)), msgspec.json.decode(path.read_bytes())) for path in folder.glob(pattern)]
