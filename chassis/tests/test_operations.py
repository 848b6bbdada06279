"""What operators mend by hand takes effect once, is told in the same transaction, and is for administrators only."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from chassis.tests.test_consumer import Effects, Eventually, Queue
from chassis.tests.test_journal_and_relay import Record
from jsonschema import Draft202012Validator
from litestar import Litestar
from uuid_utils.compat import uuid7

from cartwright.testkit.service import NothingRevoked
from chassis.messaging import inbox, journal
from chassis.messaging.consumer import Consumer
from chassis.messaging.envelope import Envelope, decode, encode, split
from chassis.messaging.journal import Event
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database, Row
from chassis.security.tokens import TokenVerifier, UserKeys
from chassis.web import operations
from chassis.web.application import application

CONTRACT = Path(__file__).parents[2] / "contracts" / "events" / "operator.acted.json"
UNKNOWN = "0198c2a7-5d10-7e21-b2c3-4d5e6f708191"
WHY = {"reason": "the bug is mended"}


class Named(msgspec.Struct):
    name: str


Ask = Callable[..., Any]


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def relay(database: Database, record: Record) -> Relay:
    return Relay("things", database, record)  # type: ignore[arg-type]


@pytest.fixture
def app(database: Database, relay: Relay, effects: Effects, user_jwks: str, service_jwks: str) -> Litestar:
    async def fetch() -> dict[str, Any]:
        return json.loads(user_jwks)  # type: ignore[no-any-return]

    async def is_healthy() -> bool:
        return True

    consumer = Consumer(group="things", types=["*"], broker=Queue(), database=database, handle=effects)  # type: ignore[arg-type]
    return application(
        name="things",
        description="Things.",
        routes=operations.routes(database, relay=relay, consumer=consumer),
        parts=[],
        verifier=TokenVerifier(
            service="things",
            issuer="cartwright",
            user_keys=UserKeys(fetch),
            rights=NothingRevoked(),
            service_keys=service_jwks,
        ),
        is_healthy=is_healthy,
    )


@pytest.fixture
async def ask(app: Litestar, eventually: Eventually, access_token: Callable[..., str]) -> AsyncIterator[Ask]:
    """`await ask("POST", path, body)` as an administrator, or with other `roles`."""
    # In this loop, to which the connections of `database` belong. A lifespan has to end in the task that it began in.
    ended = asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            await ended.wait()

    life = asyncio.create_task(live())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things") as client:

        async def is_ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await eventually(is_ready, "the service is ready")

        async def call(method: str, path: str, body: Any = None, roles: Sequence[str] = ("customer", "admin")) -> Any:
            token = access_token(str(uuid7()), list(roles))
            return await client.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})

        yield call
    ended.set()
    await life


@pytest.fixture
async def dead_letter(database: Database) -> Envelope:
    event = Envelope(
        id=uuid7(),
        source="/orders",
        type="order.placed",
        subject=str(uuid7()),
        time=datetime.now(UTC),
        sequence="1",
        correlationid="purchase-1",
        data=msgspec.Raw(b'{"name": "lamp"}'),
    )

    async def bury(connection: Connection) -> None:
        await inbox.take_new(connection, [event.id])
        await inbox.dead_letter(connection, event, encode(event), reason="KeyError: 'lamp'", attempts=5)

    await database.run(bury)
    return event


async def _rows(database: Database, query: str) -> list[Row]:
    return await database.read(lambda connection: connection.fetch(query))


async def test_dead_letters_are_listed_with_the_reason(ask: Ask, dead_letter: Envelope) -> None:
    answer = await ask("GET", "/dead-letters")
    (letter,) = answer.json()["items"]
    assert (letter["event_id"], letter["type"], letter["attempts"]) == (str(dead_letter.id), "order.placed", 5)
    assert letter["reason"] == "KeyError: 'lamp'"


async def test_a_redriven_dead_letter_has_its_effect_once_under_its_own_correlation_id(
    ask: Ask, dead_letter: Envelope, database: Database, effects: Effects
) -> None:
    path = f"/dead-letters/{dead_letter.id}/redrive"
    assert (await ask("POST", path, WHY)).status_code == 204
    again = await ask("POST", path, WHY)
    assert (again.status_code, again.json()["code"]) == (404, "dead_letter_not_found")
    assert [row["name"] for row in await _rows(database, "SELECT name FROM effect")] == ["lamp"]
    assert effects.ids == ["purchase-1"]
    assert await _rows(database, "SELECT FROM dead_letters") == []


async def test_a_redrive_is_told_as_the_contract_says_with_who_and_why(
    ask: Ask, dead_letter: Envelope, database: Database
) -> None:
    await ask("POST", f"/dead-letters/{dead_letter.id}/redrive", WHY)
    ((type_, data),) = await _rows(database, "SELECT type, data::text FROM journal")
    told = json.loads(data)
    assert type_ == "operator.acted"
    assert (told["act"], told["subject"], told["why"]) == (
        "redrive dead letter",
        str(dead_letter.id),
        "the bug is mended",
    )
    Draft202012Validator(json.loads(CONTRACT.read_text())["schema"]).validate(told)


async def test_a_dead_letter_that_fails_again_stays_and_nothing_is_told(
    ask: Ask, dead_letter: Envelope, database: Database, effects: Effects
) -> None:
    effects.mishaps["lamp"] = [ValueError("still broken")]
    answer = await ask("POST", f"/dead-letters/{dead_letter.id}/redrive", WHY)
    assert (answer.status_code, answer.json()["code"]) == (409, "redrive_failed")
    assert "still broken" in answer.json()["detail"]
    assert len(await _rows(database, "SELECT FROM dead_letters")) == 1
    assert await _rows(database, "SELECT FROM effect UNION ALL SELECT FROM journal") == []


def _said(record: Record) -> list[Envelope]:
    """All events that were published, in their order."""
    return [decode(event) for message in record.published for event in split(message.body)]


async def _say(database: Database, *names: str) -> None:
    events = [Event(type="thing.made", subject=name, data=Named(name)) for name in names]
    await database.run(lambda connection: journal.append(connection, events))


async def test_a_replay_publishes_again_what_was_said_since(
    ask: Ask, database: Database, relay: Relay, record: Record
) -> None:
    await _say(database, "old")
    await database.run_as_owner(
        lambda connection: connection.execute("UPDATE journal SET time = time - interval '1 h' WHERE subject = 'old'")
    )
    await _say(database, "a", "b")
    await relay._turn()
    since = datetime.now(UTC) - timedelta(minutes=5)
    answer = await ask("POST", "/journal/replay", {"since": since.isoformat(), **WHY})
    assert (answer.status_code, answer.json()) == (200, {"events": 2})
    await relay._turn()
    said = [(event.type, event.id) for event in _said(record)]
    assert [type_ for type_, _ in said] == ["thing.made"] * 5 + ["operator.acted"]
    assert said[3:5] == said[1:3]


async def test_a_replay_never_goes_forward(ask: Ask, database: Database, relay: Relay, record: Record) -> None:
    await _say(database, "a", "b")
    answer = await ask("POST", "/journal/replay", {"since": (datetime.now(UTC) + timedelta(days=1)).isoformat(), **WHY})
    assert answer.json() == {"events": 0}
    await relay._turn()
    assert [event.type for event in _said(record)] == ["thing.made", "thing.made", "operator.acted"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": " "},
        {"reason": "x" * 501},
        {"reason": "two\nlines"},
        {"reason": "why", "who": "me"},
    ],
)
async def test_no_operator_acts_without_a_reason(ask: Ask, dead_letter: Envelope, body: dict[str, str]) -> None:
    answer = await ask("POST", f"/dead-letters/{dead_letter.id}/redrive", body)
    assert answer.status_code == 422


async def test_a_time_without_its_zone_is_refused(ask: Ask) -> None:
    assert (await ask("POST", "/journal/replay", {"since": "2026-01-31T12:00:00", **WHY})).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/dead-letters"), ("POST", f"/dead-letters/{UNKNOWN}/redrive"), ("POST", "/journal/replay")],
)
async def test_operations_are_for_administrators_only(ask: Ask, method: str, path: str) -> None:
    assert (await ask(method, path, WHY if method == "POST" else None, roles=["customer"])).status_code == 403


async def test_operations_are_documented_as_internal(app: Litestar) -> None:
    paths = app.openapi_schema.to_schema()["paths"]
    assert {path for path, item in paths.items() for operation in item.values() if operation.get("x-internal")} == {
        "/dead-letters",
        "/dead-letters/{event_id}/redrive",
        "/journal/replay",
    }


async def test_an_act_whose_commit_was_not_answered_is_told_once(database: Database) -> None:
    act = Event(type="operator.acted", subject=UNKNOWN, data=Named("act"))
    for _ in range(2):
        await database.run(lambda connection: operations.tell_once(connection, act))
    assert len(await _rows(database, "SELECT FROM journal")) == 1
