"""What every part's tests share: real servers, started once, and the keys that tokens are signed with.

The machinery is in `cartwright.testkit.servers`; here are only the names by which tests ask for it.
"""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import nats
import pytest
from hypothesis import settings
from litestar import Litestar
from nats.js.errors import NotFoundError
from uuid_utils.compat import uuid7
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import chassis  # noqa: F401 - pytest would otherwise take the folder of that name for the package when it meets its tests.
from cartwright.testkit import keys, service
from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.launching import SERVICES, Reaper
from cartwright.testkit.servers import NatsServer, PostgresServer, running_nats, running_postgres
from chassis.messaging.broker import Message
from chassis.messaging.envelope import Envelope
from chassis.messaging.signed_broker import Signer

# `HYPOTHESIS_PROFILE=thorough pytest ...` tries six times as much of what hypothesis thinks of.
settings.register_profile("ordinary")
settings.register_profile("thorough", max_examples=6 * settings.default.max_examples)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))

WITH_OWN_SYSTEM = {"tests/e2e/test_running.py", "tests/e2e/test_traces.py", "tests/e2e/test_rabbitmq.py"}
EACH_WITH_OWN_SYSTEM = {"tests/chaos/test_crash_matrix.py"}
"""Worth a system on every worker, since each of their tests takes a minute or more."""

OF_THE_BROKERS = {
    "chassis/tests/test_broker_conformance.py",
    "chassis/tests/test_broker_conformance_events.py",
    "chassis/tests/test_rabbitmq_broker.py",
}
"""Together, since a start of RabbitMQ takes five seconds of a processor."""

SOURCES = {
    "user": "users",
    "product": "catalog",
    "stock": "catalog",
    "payment": "payments",
    "email": "notifications",
    "notification": "notifications",
}
"""Of the events that `make_event` makes; all others come from orders."""


class SharedServers(LoadScopeScheduling):
    """Gives one worker all tests that share something running: those of a file, and those of the one shared system.

    xdist's own groups (`--dist=loadgroup`) group nothing under pytest 9.2: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file in EACH_WITH_OWN_SYSTEM:
            return nodeid
        if file in OF_THE_BROKERS:
            return "the brokers"
        return "the system" if file.startswith("tests/e2e/") and file not in WITH_OWN_SYSTEM else file


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: most tests wait, for servers and for clocks, longer than they compute."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no worker is left alone with it at the end; then `testpaths` in order."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in OF_THE_BROKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedServers:
    return SharedServers(config, log)


@pytest.fixture(scope="session")
def reaper() -> Iterator[Reaper]:
    """What the session started is stopped and removed even when the session is killed."""
    with Reaper() as will:
        yield will


@pytest.fixture(scope="session")
def postgres(reaper: Reaper) -> Iterator[PostgresServer]:
    """The session's PostgreSQL: host, port, superuser_url. Tests that kill a server take `own_postgres`."""
    with running_postgres(reaper) as server:
        yield server


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database, owned by a login of its own."""
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> MigratedDatabases:
    """`with migrated(MIGRATIONS) as url`: a database with the tables of a service and nothing in them."""
    return MigratedDatabases(postgres)


@pytest.fixture
def own_postgres(reaper: Reaper) -> Iterator[PostgresServer]:
    """A PostgreSQL for this test alone, to kill and start again."""
    with running_postgres(reaper) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server(reaper: Reaper) -> Iterator[NatsServer]:
    """The session's broker. Tests that kill a broker take `own_nats`."""
    with running_nats(reaper) as server:
        yield server


@pytest.fixture
async def events_url(nats_server: NatsServer) -> AsyncIterator[str]:
    """An EVENTS_URL with a stream name of its own; every stream whose name begins so is deleted afterwards."""
    prefix = f"test-{secrets.token_hex(6)}"
    yield nats_server.url(prefix)
    connection = await nats.connect(nats_server.url(""), connect_timeout=5)
    streams = connection.jetstream()
    for stream in await streams.streams_info():
        if stream.config.name is not None and stream.config.name.startswith(prefix):
            with contextlib.suppress(NotFoundError):
                await streams.delete_stream(stream.config.name)
    await connection.close()


@pytest.fixture
def own_nats(reaper: Reaper) -> Iterator[NatsServer]:
    """A broker for this test alone, to kill and start again."""
    with running_nats(reaper) as server:
        yield server


@pytest.fixture(scope="session")
def service_keys() -> dict[str, str]:
    """The private signing key of each service, a JWK in JSON: what SERVICE_KEY holds."""
    return {name: keys.make_key(name) for name in SERVICES}


@pytest.fixture(scope="session")
def service_jwks(service_keys: dict[str, str]) -> str:
    """The public keys of all services: what SERVICE_KEYS holds."""
    return keys.public_keys(service_keys.values())


@pytest.fixture(scope="session")
def service_token(service_keys: dict[str, str]) -> Callable[[str, str], str]:
    """`service_token("orders", "catalog")` is a token by which orders calls catalog."""

    def sign(service: str, audience: str) -> str:
        return keys.sign_service_token(service_keys[service], service, audience)

    return sign


@pytest.fixture(scope="session")
def signed_message(service_keys: dict[str, str]) -> Callable[[Envelope], Message]:
    """The message in which the service that an event comes from would publish it, under an id of its own."""

    def sign(event: Envelope) -> Message:
        service = event.source.removeprefix("/")
        body = event.body
        return Message(str(uuid7()), event.type, body, Signer(service, service_keys[service]).sign(body))

    return sign


@pytest.fixture(scope="session")
def user_key() -> str:
    """The private key, a JWK in JSON, that `access_token` signs with in place of the users service's own."""
    return keys.make_key("test-users")


@pytest.fixture(scope="session")
def user_jwks(user_key: str) -> str:
    """What the users service would answer at /.well-known/jwks.json."""
    return keys.public_keys([user_key])


@pytest.fixture(scope="session")
def access_token(user_key: str) -> Callable[..., str]:
    """`access_token(user_id=..., roles=[...])` is an access token that `user_jwks` verifies.

    `issuer` and `seconds` (negative: expired) make tokens that have to be refused.
    """

    def sign(user_id: str, roles: list[str] | None = None, issuer: str = "cartwright", seconds: int = 900) -> str:
        return keys.sign_access_token(user_key, user_id, roles or ["customer"], issuer, seconds)

    return sign


@pytest.fixture
def as_administrator(access_token: Callable[..., str]) -> dict[str, str]:
    """The headers of an administrator's request."""
    return {"authorization": f"Bearer {access_token(str(uuid7()), ['customer', 'admin'])}"}


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(condition)` returns once the condition holds, and fails when it does not in time."""
    return service.until


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Litestar], Awaitable[httpx.AsyncClient]]]:
    """`await serve(build(settings))` runs a service on a real socket; a client of it once it is ready."""
    async with contextlib.AsyncExitStack() as running:

        async def start(app: Litestar) -> httpx.AsyncClient:
            return await running.enter_async_context(service.ready_client(app))

        yield start


@pytest.fixture
def make_event() -> Callable[..., Envelope]:
    """`make_event("order.placed", {"order_id": ...}, correlationid=...)`: an event as consumers get it."""

    def make(type_: str = "order.placed", data: Any = None, **members: Any) -> Envelope:
        given = {
            "id": uuid7(),
            "source": f"/{SOURCES.get(type_.partition('.')[0], 'orders')}",
            "type": type_,
            "subject": str(uuid7()),
            "time": datetime.now(UTC),
            "sequence": "1",
            "correlationid": str(uuid7()),
            "data": data if isinstance(data, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(data or {})),
        }
        return Envelope(**(given | members))

    return make
