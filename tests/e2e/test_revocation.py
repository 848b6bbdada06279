"""A right that was taken away is gone within two seconds, in each service: promise 14, with the real services."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from litestar import Litestar
from uuid_utils.compat import uuid7

import catalog.app
import catalog.settings
import payments.app
import payments.settings
import users.app
import users.settings
from cartwright.launcher.keys import make_encryption_key
from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.proxy import Proxy
from cartwright.testkit.service import ready_client, until
from chassis.security import revocations

NO_BROKER = "nats://127.0.0.1:9/cartwright"
ADMINISTRATOR = {"email": "admin@cartwright.example", "password": "the first of all"}
PASSWORD = "correct horse battery"
GONE_S_MAX = 2.0
LATE_S_MAX = 8.0
"""By how much a machine that does other things may be late."""


class Tokens(NamedTuple):
    access: str
    refresh: str


class Shop:
    """Addresses of the services that run, and what people do with them."""

    def __init__(self, build: Callable[[str], Litestar]) -> None:
        self._build = build
        self.clients: dict[str, httpx.AsyncClient] = {}

    @contextlib.asynccontextmanager
    async def running(self, name: str, service: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A replica of the service, known as `name` to `call`."""
        async with ready_client(self._build(service or name)) as client:
            self.clients[name] = client
            yield client

    async def call(self, name: str, method: str, path: str, token: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", "idempotency-key": str(uuid7())}
        return await self.clients[name].request(method, path, headers=headers, **options)

    async def sign_in(self, email: str, password: str = PASSWORD) -> Tokens:
        form = {"grant_type": "password", "username": email, "password": password}
        return _tokens(await self.clients["users"].post("/auth/token", data=form))

    async def refresh(self, token: str) -> httpx.Response:
        return await self.clients["users"].post(
            "/auth/token", data={"grant_type": "refresh_token", "refresh_token": token}
        )

    async def administrator(self) -> Tokens:
        return await self.sign_in(**ADMINISTRATOR)

    async def person(self, *roles: str) -> tuple[str, Tokens]:
        """A new account: its id, and tokens."""
        email = f"{uuid7()}@example.com"
        body = {"email": email, "name": "Ada", "password": PASSWORD}
        user_id = (await self.clients["users"].post("/users", json=body)).json()["id"]
        if roles:
            await self.set_roles(user_id, *roles)
        return user_id, await self.sign_in(email)

    async def set_roles(self, user_id: str, *roles: str) -> None:
        token = (await self.administrator()).access
        answer = await self.call("users", "PUT", f"/users/{user_id}/roles", token, json={"roles": [*roles]})
        assert answer.status_code == 200, answer.text

    async def create_product(self, token: str, at: str = "catalog") -> httpx.Response:
        body = {
            "sku": f"SKU-{uuid7()}",
            "name": "Lamp",
            "price": {"amount": "9.99", "currency": "USD"},
            "stock": 1,
        }
        return await self.call(at, "POST", "/products", token, json=body)

    async def add_method(self, token: str) -> httpx.Response:
        return await self.call("payments", "POST", "/payment-methods", token, json={"token": "pm_card_visa"})

    async def is_refused_soon(self, act: Callable[[], Awaitable[httpx.Response]], since: float) -> None:
        """The act is refused for its token within two seconds after `since`."""

        async def refused() -> bool:
            answer = await act()
            if answer.status_code != 401:
                return False
            assert answer.json()["code"] == "token_revoked"
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
            return True

        await until(refused, "the token is refused", max(0.1, since + GONE_S_MAX + LATE_S_MAX - time.monotonic()))


def _tokens(answer: httpx.Response) -> Tokens:
    assert answer.status_code == 200, answer.text
    return Tokens(answer.json()["access_token"], answer.json()["refresh_token"])


class Databases(NamedTuple):
    users: str
    catalog: str
    payments: str


@pytest.fixture
def databases(migrated: MigratedDatabases) -> Iterator[Databases]:
    with contextlib.ExitStack() as made:
        yield Databases(
            *(made.enter_context(migrated(app.MIGRATIONS)) for app in (users.app, catalog.app, payments.app))
        )


@pytest.fixture
def shop(databases: Databases, service_keys: Mapping[str, str], service_jwks: str) -> Shop:
    encryption_key = make_encryption_key()

    def build(service: str) -> Litestar:
        common: dict[str, Any] = {
            "database_url": getattr(databases, service),
            "events_url": NO_BROKER,
            "service_key": service_keys[service],
            "service_keys": service_jwks,
        }
        if service == "users":
            argon2 = {"argon2_time_cost": 1, "argon2_memory_kib": 8, "argon2_parallelism": 1}
            admin = {"admin_email": ADMINISTRATOR["email"], "admin_password": ADMINISTRATOR["password"]}
            return users.app.build(
                users.settings.Settings(**common, **admin, **argon2, key_encryption_keys=encryption_key)
            )
        replicas = ",".join(
            str(client.base_url).rstrip("/") for name, client in shop.clients.items() if name.startswith("users")
        )
        if service == "catalog":
            return catalog.app.build(catalog.settings.Settings(**common, users_url=replicas))
        return payments.app.build(payments.settings.Settings(**common, users_url=replicas))

    shop = Shop(build)
    return shop


@pytest.fixture
async def running(shop: Shop) -> AsyncIterator[Shop]:
    """All three services, each with one replica."""
    async with shop.running("users"), shop.running("catalog"), shop.running("payments"):
        yield shop


async def test_who_signs_out_is_out_everywhere(running: Shop) -> None:
    _, tokens = await running.person()
    assert (await running.call("payments", "GET", "/payment-methods", tokens.access)).status_code == 200
    body = {"refresh_token": tokens.refresh}
    assert (await running.clients["users"].post("/auth/sign-out", json=body)).status_code == 204
    since = time.monotonic()
    at_users = await running.call("users", "GET", "/users/me", tokens.access)
    assert (at_users.status_code, at_users.json()["code"]) == (401, "token_revoked")
    await running.is_refused_soon(partial(running.add_method, tokens.access), since)


async def test_a_refresh_token_that_is_used_twice_takes_the_access_tokens_with_it(running: Shop) -> None:
    _, stolen = await running.person("customer", "admin")
    newest = _tokens(await running.refresh(stolen.refresh))
    assert (await running.create_product(newest.access)).status_code == 201
    assert (await running.refresh(stolen.refresh)).status_code == 400
    since = time.monotonic()
    for token in (stolen.access, newest.access):
        assert (await running.call("users", "GET", "/users", token)).status_code == 401
        await running.is_refused_soon(partial(running.create_product, token), since)


async def test_a_deleted_account_adds_no_payment_method(running: Shop) -> None:
    _, tokens = await running.person()
    assert (await running.add_method(tokens.access)).status_code == 201
    assert (await running.call("users", "DELETE", "/users/me", tokens.access)).status_code == 204
    since = time.monotonic()
    await running.is_refused_soon(partial(running.add_method, tokens.access), since)


async def test_an_administrator_who_was_demoted_cannot_get_the_role_back_and_is_one_nowhere(running: Shop) -> None:
    user_id, tokens = await running.person("customer", "admin")
    assert (await running.create_product(tokens.access)).status_code == 201
    await running.set_roles(user_id, "customer")
    since = time.monotonic()
    everything = {"roles": ["customer", "admin"]}
    back = await running.call("users", "PUT", f"/users/{user_id}/roles", tokens.access, json=everything)
    assert (back.status_code, back.json()["code"]) == (401, "token_revoked")
    assert (await running.call("users", "POST", "/auth/keys/rotate", tokens.access)).status_code == 401
    await running.is_refused_soon(partial(running.create_product, tokens.access), since)
    # The operators' interface, which the gateway does not route.
    assert (await running.call("catalog", "GET", "/dead-letters", tokens.access)).status_code == 401

    # The session goes on, with the rights that are left.
    customer = _tokens(await running.refresh(tokens.refresh))
    assert (await running.add_method(customer.access)).status_code == 201
    assert (await running.create_product(customer.access)).status_code == 403
    assert (await running.call("users", "GET", "/users", customer.access)).status_code == 403


async def test_an_administrator_who_was_deleted_is_one_nowhere(running: Shop) -> None:
    _, tokens = await running.person("customer", "admin")
    assert (await running.call("users", "DELETE", "/users/me", tokens.access)).status_code == 204
    since = time.monotonic()
    user_id, _ = await running.person()
    everything = {"roles": ["customer", "admin"]}
    promotion = await running.call("users", "PUT", f"/users/{user_id}/roles", tokens.access, json=everything)
    assert (promotion.status_code, promotion.json()["code"]) == (401, "account_gone")
    await running.is_refused_soon(partial(running.create_product, tokens.access), since)


async def test_a_role_that_is_given_is_had_with_the_next_token_at_once(running: Shop) -> None:
    user_id, tokens = await running.person()
    await running.set_roles(user_id, "customer", "admin")
    promoted = _tokens(await running.refresh(tokens.refresh))
    # In the very second of the change, and whether a service has heard of it yet or not.
    for _ in range(20):
        assert (await running.create_product(promoted.access)).status_code == 201
        await asyncio.sleep(0.1)


async def test_a_service_that_starts_anew_knows_what_was_revoked_before(shop: Shop) -> None:
    async with shop.running("users"):
        _, tokens = await shop.person("customer", "admin")
        async with shop.running("catalog"):
            assert (await shop.create_product(tokens.access)).status_code == 201
        body = {"refresh_token": tokens.refresh}
        assert (await shop.clients["users"].post("/auth/sign-out", json=body)).status_code == 204
        async with shop.running("catalog"):
            refused = await shop.create_product(tokens.access)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_revoked")


async def test_users_that_starts_anew_goes_on_to_tell_what_was_revoked(shop: Shop) -> None:
    async with shop.running("users"):
        _, tokens = await shop.person()
        await shop.clients["users"].post("/auth/sign-out", json={"refresh_token": tokens.refresh})
    async with shop.running("users"), shop.running("payments"):
        assert (await shop.add_method(tokens.access)).status_code == 401


async def test_each_replica_tells_what_another_one_has_revoked(shop: Shop) -> None:
    async with (
        shop.running("users"),
        shop.running("users again", "users"),
        shop.running("catalog"),
        shop.running("catalog again", "catalog"),
    ):
        for replica in ("users", "users again"):
            _, tokens = await shop.person("customer", "admin")
            await shop.clients[replica].post("/auth/sign-out", json={"refresh_token": tokens.refresh})
            since = time.monotonic()
            for at in ("catalog", "catalog again"):
                await shop.is_refused_soon(partial(shop.create_product, tokens.access, at), since)


async def test_a_revocation_that_commits_late_is_not_missed_and_holds_up_no_other(
    running: Shop, databases: Databases
) -> None:
    _, late = await running.person()
    _, early = await running.person()
    sign_out = running.clients["users"].post
    holder = await asyncpg.connect(databases.users, timeout=5)
    watcher = await asyncpg.connect(databases.users, timeout=5)
    try:
        hold = holder.transaction()
        await hold.start()
        # Its own number is the oldest that runs, and stays so.
        await holder.fetchval("SELECT pg_current_xact_id()")
        await holder.execute(
            """
            SELECT FROM sessions JOIN refresh_tokens ON session_id = sessions.id WHERE hash = $1
            FOR UPDATE OF sessions
            """,
            hashlib.sha256(late.refresh.encode()).digest(),
        )
        signing_out = asyncio.create_task(sign_out("/auth/sign-out", json={"refresh_token": late.refresh}))

        async def has_its_number() -> bool:
            waiting = """
                SELECT EXISTS (
                    SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock' AND backend_xid IS NOT NULL
                )
            """
            return bool(await watcher.fetchval(waiting))

        await until(has_its_number, "the late one waits for the session, and has a number")
        assert (await sign_out("/auth/sign-out", json={"refresh_token": early.refresh})).status_code == 204
        await running.is_refused_soon(partial(running.add_method, early.access), time.monotonic())
        assert (await running.add_method(late.access)).status_code == 201
        await hold.rollback()
        assert (await signing_out).status_code == 204
    finally:
        await holder.close(timeout=5)
        await watcher.close(timeout=5)
    await running.is_refused_soon(partial(running.add_method, late.access), time.monotonic())


async def test_while_users_is_out_of_reach_customers_go_on_and_administrators_do_not(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "ADMINISTRATORS_S_MAX", 1.5)
    async with shop.running("users") as client:
        network = Proxy(urlsplit(str(client.base_url)).port or 0)
        address = f"http://127.0.0.1:{await network.start()}"
        async with httpx.AsyncClient(base_url=address) as through_network:
            shop.clients["users"] = through_network
            async with shop.running("catalog"), shop.running("payments"):
                shop.clients["users"] = client
                _, administrator = await shop.person("customer", "admin")
                _, customer = await shop.person()
                assert (await shop.create_product(administrator.access)).status_code == 201
                network.cut()

                async def is_refused() -> bool:
                    answer = await shop.create_product(administrator.access)
                    return answer.status_code == 503 and answer.json()["code"] == "rights_unknown"

                await until(is_refused, "administrators are refused")
                assert (await shop.add_method(customer.access)).status_code == 201
                await shop.clients["users"].post("/auth/sign-out", json={"refresh_token": customer.refresh})
                network.flow()
                since = time.monotonic()

                async def is_served() -> bool:
                    return (await shop.create_product(administrator.access)).status_code == 201

                await until(is_served, "administrators go on")
                await shop.is_refused_soon(partial(shop.add_method, customer.access), since)
        await network.stop()


async def test_a_service_that_starts_while_users_is_away_serves_people_when_it_is_back(shop: Shop) -> None:
    async with shop.running("users") as client:
        _, tokens = await shop.person()
        network = Proxy(urlsplit(str(client.base_url)).port or 0)
        address = f"http://127.0.0.1:{await network.start()}"
        network.cut()
        async with httpx.AsyncClient(base_url=address) as through_network:
            shop.clients["users"] = through_network
            async with shop.running("payments"):
                refused = await shop.add_method(tokens.access)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                network.flow()

                async def is_served() -> bool:
                    return (await shop.add_method(tokens.access)).status_code == 201

                await until(is_served, "people are served")
        await network.stop()
