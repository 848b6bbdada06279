"""A running users service on a real PostgreSQL, with cheap password hashes, and the requests of tests to it."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from cartwright.testkit import keys, servers
from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.service import ready_client, until
from chassis.persistence.database import Database
from chassis.security.tokens import Caller
from users.app import MIGRATIONS, build
from users.domain.session import Session
from users.domain.signing_key import RotationSchedule
from users.key_encryption import parse_encryption_keys
from users.key_ring import KeyRing
from users.rotate_signing_keys import rotate_signing_keys
from users.settings import Settings
from users.workers.key_rotation import KeyRotation

ADMINISTRATOR = {"email": "admin@cartwright.example", "password": "the first of all"}
PASSWORD = "correct horse battery"
ENCRYPTION_KEY = keys.make_encryption_key()

_numbers = itertools.count(1)


def new_email() -> str:
    return f"user{next(_numbers)}@example.com"


class SignedInUser(NamedTuple):
    id: str
    email: str
    access_token: str
    refresh_token: str


class Service:
    """The requests of a test to a running service."""

    def __init__(self, client: httpx.AsyncClient, database: asyncpg.Connection, database_url: str) -> None:
        self.client = client
        self.address = str(client.base_url)
        self._database = database
        self._database_url = database_url

    async def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return await self.client.request(method, path, headers=headers, **options)

    async def register(
        self, email: str | None = None, name: str = "Ada", password: str = PASSWORD, key: str | None = None
    ) -> httpx.Response:
        body = {"email": email or new_email(), "name": name, "password": password}
        headers = {} if key is None else {"idempotency-key": key}
        return await self.call("POST", "/users", json=body, headers=headers)

    async def sign_in(
        self, email: str, password: str = PASSWORD, *, source: str = "192.0.2.1", device: str | None = None
    ) -> httpx.Response:
        form = {"grant_type": "password", "username": email, "password": password}
        form |= {} if device is None else {"device_token": device}
        return await self.client.post("/auth/token", data=form, headers={"x-client-address": source})

    async def refresh(self, refresh_token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.client.post("/auth/token", data=form)

    async def new_user(self, email: str | None = None, name: str = "Ada") -> SignedInUser:
        """A user who is registered and signed in."""
        registered = await self.register(email, name)
        assert registered.status_code == 201, registered.text
        body = registered.json()
        tokens = await self.sign_in(body["email"])
        assert tokens.status_code == 200, tokens.text
        return SignedInUser(body["id"], body["email"], tokens.json()["access_token"], tokens.json()["refresh_token"])

    async def administrator(self) -> str:
        """The access token of the first administrator."""
        token: str = (await self.sign_in(**ADMINISTRATOR)).json()["access_token"]
        return token

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._database.fetch(query, *arguments)

    @asynccontextmanager
    async def locked(self, lock: str, *arguments: Any) -> AsyncIterator[Callable[..., Awaitable[None]]]:
        """Hold the lock of the statement until so many transactions wait for it, then release all of them at once."""
        other = await asyncpg.connect(self._database_url, timeout=5)
        held = other.transaction()
        await held.start()
        await other.fetch(lock, *arguments)

        async def release(*, when_waiting: int) -> None:
            async def enough_wait() -> bool:
                waiting = await self.rows(
                    """
                    SELECT DISTINCT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
                    WHERE datname = current_database() AND NOT granted
                    """
                )
                return len(waiting) >= when_waiting

            await until(enough_wait, f"{when_waiting} transactions wait")
            await held.rollback()

        yield release
        await other.close(timeout=5)

    async def events_of(self, user_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The events of a user, in order: type and data."""
        rows = await self.rows("SELECT type, data FROM journal WHERE subject = $1 ORDER BY position", user_id)
        return [(row["type"], msgspec.json.decode(row["data"])) for row in rows]


class KeyReplica:
    """The signing keys of one replica, as `users.app` wires them."""

    def __init__(self, database: Database, encryption_keys: str, schedule: RotationSchedule) -> None:
        self._database = database
        self._encryption = parse_encryption_keys(encryption_keys)
        self._schedule = schedule
        self.ring = KeyRing(database, self._encryption, issuer="cartwright", token_lifetime_s=schedule.token_lifetime_s)
        self.rotation = KeyRotation(database, self._encryption, self.ring, schedule)

    async def rotate(self, operator: Caller) -> None:
        await rotate_signing_keys(self._database, self._encryption, self._schedule, operator)
        await self.ring.reload()

    def sign(self) -> str:
        session = Session(id=uuid7(), account_id=uuid7(), account_version=1, roles=("customer",))
        return self.ring.sign(session)

    def published(self) -> list[str]:
        """The key ids of the JWKS."""
        return [key["kid"] for key in self.ring.jwks()["keys"]]


MakeReplica = Callable[..., KeyReplica]


@pytest.fixture(scope="session")
def replica() -> MakeReplica:
    def make(
        database: Database, encryption_keys: str = ENCRYPTION_KEY, *, rotation_s: float = 30 * 24 * 3600
    ) -> KeyReplica:
        schedule = RotationSchedule(rotation_s=rotation_s, publish_ahead_s=600, token_lifetime_s=900)
        return KeyReplica(database, encryption_keys, schedule)

    return make


MakeSettings = Callable[..., Settings]
Start = Callable[..., AbstractAsyncContextManager[Service]]
NO_BROKER = "nats://127.0.0.1:9/cartwright"
"""No broker listens there: the journal keeps the events, and the tests read it."""


@pytest.fixture(scope="session")
def settings(service_keys: Mapping[str, str], service_jwks: str) -> MakeSettings:
    def make(database_url: str, **changes: Any) -> Settings:
        values: dict[str, Any] = {
            "database_url": database_url,
            "events_url": NO_BROKER,
            "database_owner_url": servers.owner_url(database_url),
            "key_encryption_keys": ENCRYPTION_KEY,
            "service_key": service_keys["users"],
            "service_keys": service_jwks,
            "admin_email": ADMINISTRATOR["email"],
            "admin_password": ADMINISTRATOR["password"],
            "argon2_time_cost": 1,
            "argon2_memory_kib": 8,
            "argon2_parallelism": 1,
        }
        return Settings(**(values | changes))

    return make


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    async with ready_client(build(settings)) as client:
        owner_url = servers.owner_url(settings.database_url)
        database = await asyncpg.connect(owner_url, timeout=5)
        yield Service(client, database, owner_url)
        await database.close(timeout=5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(settings: MakeSettings, migrated: MigratedDatabases) -> AsyncIterator[Service]:
    """One service for a module, whose tests use users of their own."""
    with migrated(MIGRATIONS) as database_url:
        async with running(settings(database_url)) as service:
            yield service


@pytest.fixture
def database_url(migrated: MigratedDatabases) -> Iterator[str]:
    """A database with the empty tables of the service."""
    with migrated(MIGRATIONS) as url:
        yield url


@pytest.fixture
def start(settings: MakeSettings, database_url: str) -> Start:
    """`async with start(key_rotation_s=1) as service`: a service (a second one: a replica) on this test's database."""

    def begin(**changes: Any) -> AbstractAsyncContextManager[Service]:
        return running(settings(database_url, **changes))

    return begin
