"""The whole service: it answers over HTTP, emits an event and consumes one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from uuid_utils.compat import uuid7

from chassis.messaging import envelope
from chassis.messaging.broker import Broker, Message
from chassis.messaging.brokers import broker_for
from chassis.persistence.database import Database


@pytest.fixture
async def broker(client: httpx.AsyncClient, events_url: str) -> AsyncIterator[Broker]:
    broker = broker_for(events_url, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def create(client: httpx.AsyncClient, access_token: Callable[..., str]) -> Callable[..., Awaitable[httpx.Response]]:
    async def post(user_id: str, text: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {access_token(user_id)}"}
        return await client.post("/newservice/entries", json={"text": text}, headers=headers)

    return post


async def test_the_service_is_healthy(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).status_code == 200


async def test_a_created_entry_is_in_the_journal_and_on_the_broker(
    create: Any, broker: Broker, database: Database
) -> None:
    subscription = await broker.subscribe("test", ["newservice.*"])
    ada = str(uuid7())
    answer = await create(ada, "Hello")
    assert answer.status_code == 201, answer.text
    rows = await database.read(lambda c: c.fetch("SELECT type, subject FROM journal"))
    assert [tuple(row) for row in rows] == [("newservice.entry_created", answer.json()["id"])]
    async with asyncio.timeout(10):
        while not (deliveries := await subscription.fetch(1, 0.5)):
            pass
    (event,) = [envelope.decode(part) for part in envelope.split(deliveries[0].body)]
    assert (event.type, event.subject, event.source) == (
        "newservice.entry_created",
        answer.json()["id"],
        "/newservice",
    )


async def test_the_entries_of_a_deleted_account_are_deleted(
    create: Any,
    broker: Broker,
    database: Database,
    make_event: Any,
    signed_message: Callable[[envelope.Envelope], Message],
    until: Any,
) -> None:
    ada, eve = str(uuid7()), str(uuid7())
    for user_id in (ada, eve):
        assert (await create(user_id, "Hello")).status_code == 201
    await broker.publish([signed_message(make_event("user.deleted", {"user_id": ada, "version": 2}))])

    async def is_deleted() -> bool:
        rows = await database.read(lambda c: c.fetch("SELECT user_id::text FROM entries"))
        return [row["user_id"] for row in rows] == [eve]

    await until(is_deleted)


async def test_a_blank_entry_is_refused(create: Any) -> None:
    answer = await create(str(uuid7()), " ")
    assert answer.status_code == 422
