"""Notifications on a real database, broker and SMTP server (aiosmtpd). Users and payments are fakes."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, Envelope, Session

from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.service import NO_REVOCATIONS
from chassis.persistence.database import Connection, Database
from chassis.security.tokens import ServiceTokens
from chassis.web.client import ServiceClient
from notifications.app import MIGRATIONS, build
from notifications.clients.payments import Payments
from notifications.settings import Settings


@pytest.fixture
def database_url(migrated: MigratedDatabases) -> Iterator[str]:
    """A database with the empty tables of the service."""
    with migrated(MIGRATIONS) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def query(database: Database) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """`await query(sql, *values)` returns rows as dictionaries. It may change rows too."""

    async def run(sql: str, *values: Any) -> list[dict[str, Any]]:
        async def work(connection: Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in await connection.fetch(sql, *values)]

        return await database.run(work)

    return run


class Mailbox:
    """The handler of aiosmtpd. The prefix of an address selects its failure: `refused`, `later`, `slow` or `dies`."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.connections = 0
        self.answer_to_data = "250 Kept"
        self.scan_s = 0.0
        self.has_smtputf8 = True

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused"):
            return "550 No such mailbox"
        if address.startswith("later"):
            return "451 Come again"
        if address.startswith("slow"):
            await asyncio.sleep(3600)
        if address.startswith("dies") and server.transport is not None:
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        await asyncio.sleep(self.scan_s)
        if self.answer_to_data.startswith("250"):
            self.mails.append(email.message_from_bytes(envelope.content, EmailMessage, policy=email.policy.default))
        return self.answer_to_data

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="localhost", enable_SMTPUTF8=mailbox.has_smtputf8), "127.0.0.1", 0
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    yield mailbox
    server.close()


class UsersPeer:
    """The calls of notifications to users. Every id has an account, except those in `unknown`."""

    def __init__(self, jwks: str) -> None:
        self.url = ""
        self.people: dict[str, dict[str, Any]] = {}
        self.unknown: set[str] = set()
        self.is_down = False
        self._jwks = jwks

    def _person(self, user_id: str) -> dict[str, Any]:
        preferences = {"order_emails": True, "payment_emails": True}
        ada = {"id": user_id, "name": "Ada", "email": "ada@example.com", "preferences": preferences, "version": 1}
        return self.people.get(user_id, ada)

    async def keys(self, _: web.Request) -> web.Response:
        return web.Response(text=self._jwks, content_type="application/json")

    async def no_revocations(self, _: web.Request) -> web.Response:
        return web.json_response(NO_REVOCATIONS)

    async def look_up(self, request: web.Request) -> web.Response:
        if self.is_down:
            return web.Response(status=500)
        ids = (await request.json())["ids"]
        return web.json_response({"items": [self._person(id_) for id_ in ids if id_ not in self.unknown]})


@pytest.fixture
async def users_peer(user_jwks: str) -> AsyncIterator[UsersPeer]:
    users = UsersPeer(user_jwks)
    peer = web.Application()
    peer.router.add_get("/.well-known/jwks.json", users.keys)
    peer.router.add_get("/revocations", users.no_revocations)
    peer.router.add_post("/users/lookup", users.look_up)
    async with TestServer(peer) as server:
        users.url = str(server.make_url(""))
        yield users


class PaymentsPeer:
    """The calls of notifications to payments. An order that is not in `payments` is not known yet."""

    def __init__(self) -> None:
        self.url = ""
        self.payments: dict[str, dict[str, Any]] = {}
        self.is_down = False

    async def look_up(self, request: web.Request) -> web.Response:
        if self.is_down:
            return web.Response(status=500)
        ids = (await request.json())["order_ids"]
        return web.json_response({"items": [self.payments[id_] for id_ in ids if id_ in self.payments]})


@pytest.fixture
async def payments_peer() -> AsyncIterator[PaymentsPeer]:
    payments = PaymentsPeer()
    peer = web.Application()
    peer.router.add_post("/payments/lookup", payments.look_up)
    async with TestServer(peer) as server:
        payments.url = str(server.make_url(""))
        yield payments


@pytest.fixture
async def payments(settings: Settings) -> AsyncIterator[Payments]:
    client = ServiceClient("payments", settings.payments_url, ServiceTokens("notifications", settings.service_key))
    await client.start()
    yield Payments(client)
    await client.stop()


@pytest.fixture
def settings(
    database_url: str,
    events_url: str,
    users_peer: UsersPeer,
    payments_peer: PaymentsPeer,
    mailbox: Mailbox,
    service_keys: dict[str, str],
    service_jwks: str,
) -> Settings:
    return Settings(
        database_url=database_url,
        events_url=events_url,
        users_url=users_peer.url,
        payments_url=payments_peer.url,
        service_key=service_keys["notifications"],
        service_keys=service_jwks,
        smtp_host="127.0.0.1",
        smtp_port=mailbox.port,
        mail_from="Cartwright <shop@cartwright.example>",
    )


@pytest.fixture
async def client(settings: Settings, serve: Callable[..., Awaitable[httpx.AsyncClient]]) -> httpx.AsyncClient:
    return await serve(build(settings))
