"""The whole service: it consumes events from the broker and answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import msgspec
import pytest
import schemathesis
import stamina
from hypothesis import given
from uuid_utils.compat import uuid7

from audit.app import build
from audit.settings import Settings
from chassis.messaging import consumer, envelope
from chassis.messaging.broker import Broker, BrokerUnavailable, Message
from chassis.messaging.brokers import broker_for
from chassis.persistence.database import Database

Client = httpx.AsyncClient
Publish = Callable[..., Awaitable[None]]


@pytest.fixture
async def broker(events_url: str) -> AsyncIterator[Broker]:
    broker = broker_for(events_url, "test")
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def publish(broker: Broker, signed_message: Callable[[envelope.Envelope], Message]) -> Publish:
    async def run(*events: envelope.Envelope) -> None:
        # Without the message id, so that the broker does not drop a repetition. The service has to.
        messages = [signed_message(event) for event in events]
        async for attempt in stamina.retry_context(on=BrokerUnavailable, attempts=None, timeout=10, wait_max=0.1):
            with attempt:
                await broker.publish(messages)

    return run


async def events_after(client: Client, headers: dict[str, str], count: int, **query: Any) -> list[dict[str, Any]]:
    """The events of a search, as soon as it finds `count`."""
    async with asyncio.timeout(15):
        while True:
            answer = await client.get("/audit/events", params={"limit": 100, **query}, headers=headers)
            assert answer.status_code == 200, answer.text
            if len(answer.json()["items"]) >= count:
                return list(answer.json()["items"])
            await asyncio.sleep(0.05)


async def test_one_purchase_is_found_by_its_correlation_id(
    client: Client, publish: Publish, make_event: Any, as_administrator: dict[str, str], settings: Settings, until: Any
) -> None:
    order_id = str(uuid7())
    placed = make_event("order.placed", {"order_id": order_id}, subject=order_id, correlationid="purchase-1")
    captured = make_event("payment.captured", {"order_id": order_id}, source="/payments", correlationid="purchase-1")
    await publish(placed, captured, make_event(), placed)
    found = await events_after(client, as_administrator, 2, correlation_id="purchase-1")
    assert [event["type"] for event in found] == ["order.placed", "payment.captured"]
    assert found[0]["data"] == {"order_id": order_id}
    assert found[0]["id"] == str(placed.id)
    assert {event["order_id"] for event in found} == {order_id}
    assert found == await events_after(client, as_administrator, 2, order_id=order_id)
    assert len(await events_after(client, as_administrator, 2, type="order.placed")) == 2

    answer = await client.get("/audit/verify", headers=as_administrator)
    assert answer.json()["intact"] is True
    assert answer.json()["entries"] == 3
    file = Path(settings.data_dir) / "audit.jsonl"
    await until(lambda: file.exists() and file.read_bytes().count(b"\n") == 3)


async def test_the_bytes_of_the_broker_message_are_stored(
    client: Client, publish: Publish, make_event: Any, as_administrator: dict[str, str], database: Database
) -> None:
    sent = envelope.decode(envelope.encode(make_event()).replace(b'{"id"', b'{ "tomorrow": 1.00, "id"', 1))
    await publish(sent)
    await events_after(client, as_administrator, 1)
    kept = await database.read(lambda c: c.fetchval("SELECT envelope FROM entries"))
    assert kept.encode() == sent.body
    assert kept.startswith('{ "tomorrow": 1.00, "id"')


async def test_an_event_that_is_not_utf_8_becomes_a_dead_letter_and_others_are_recorded(
    client: Client,
    publish: Publish,
    make_event: Any,
    as_administrator: dict[str, str],
    database: Database,
    until: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "RETURN_DELAY_S", 0.05)
    torn = make_event(data={"name": "?"})
    good = make_event()
    await publish(envelope.decode(envelope.encode(torn).replace(b'"?"', b'"\xff"')), good)
    assert [event["id"] for event in await events_after(client, as_administrator, 1)] == [str(good.id)]

    async def is_dead_letter() -> bool:
        return bool(
            await database.read(lambda c: c.fetchval("SELECT 1 FROM dead_letters WHERE event_id = $1", torn.id))
        )

    await until(is_dead_letter)


async def test_a_page_continues_after_the_last_one(
    client: Client, publish: Publish, make_event: Any, as_administrator: dict[str, str]
) -> None:
    events = [make_event() for _ in range(5)]
    await publish(*events)
    await events_after(client, as_administrator, 5)
    ids: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/audit/events", params=query, headers=as_administrator)).json()
        ids += [event["id"] for event in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert ids == [str(event.id) for event in events]


async def test_a_search_is_limited_by_times(
    client: Client, publish: Publish, make_event: Any, as_administrator: dict[str, str]
) -> None:
    early, late = make_event(), make_event()
    await publish(early, late)
    await events_after(client, as_administrator, 2)
    assert [e["id"] for e in await events_after(client, as_administrator, 1, until=late.time.isoformat())] == [
        str(early.id)
    ]
    assert [e["id"] for e in await events_after(client, as_administrator, 1, since=late.time.isoformat())] == [
        str(late.id)
    ]


async def test_only_administrators_may_read(
    client: Client, access_token: Callable[..., str], service_token: Callable[[str, str], str]
) -> None:
    for token, status in (
        (None, 401),
        ("nonsense", 401),
        (access_token(str(uuid7())), 403),
        (service_token("orders", "audit"), 403),
        (access_token(str(uuid7()), ["customer", "admin"], seconds=-5), 401),
    ):
        for path in ("/audit/events", "/audit/verify"):
            answer = await client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"


BAD_SEARCHES = [
    "events?order_id=no-uuid",
    "events?limit=0",
    "events?limit=101",
    "events?limit=x",
    "events?cursor=!!",
    "events?cursor=LTE",
    "events?since=yesterday",
    "events?since=2026-01-01T00:00:00",
    "events?until=2026-01-01T00:00:00",
    "events?since=1767225600",
    "events?from=2026-01-01T00:00:00Z",
    "events?type=order.placed&type=order.confirmed",
    "verify?position=1",
    "events?since=9999-12-31T23:59:59-14:00",
    "events?correlation_id=%00",
    "events?type=%00",
    f"events?type={'x' * 129}",
    "verify?from_position=0",
    "verify?from_position=-1",
    "verify?from_position=x",
    f"verify?from_position={2**63}",
]


async def test_a_bad_search_is_refused_with_a_problem(client: Client, as_administrator: dict[str, str]) -> None:
    for query in BAD_SEARCHES:
        answer = await client.get(f"/audit/{query}", headers=as_administrator)
        assert (query, answer.status_code, answer.json()["code"]) == (query, 422, "invalid")


async def test_the_service_is_ready_and_reads_while_the_broker_is_down(
    settings: Settings, as_administrator: dict[str, str], serve: Any
) -> None:
    client = await serve(build(msgspec.structs.replace(settings, events_url="nats://127.0.0.1:1/nowhere")))
    assert (await client.get("/audit/verify", headers=as_administrator)).status_code == 200


async def test_no_generated_request_ends_in_a_server_error(client: Client, as_administrator: dict[str, str]) -> None:
    def fuzz() -> None:
        for operation in schemathesis.openapi.from_url(f"{client.base_url}/openapi.json").get_all_operations():

            @given(case=operation.ok().as_strategy())
            @hypothesis.settings(max_examples=20, derandomize=True, deadline=None, database=None)
            def call(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=as_administrator, checks=[schemathesis.checks.not_a_server_error])

            call()

    await asyncio.to_thread(fuzz)
