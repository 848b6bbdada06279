"""The actor of an act reaches its event: a person, an operator or a service. Without one in the context: none."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from chassis.tests.test_journal_and_relay import Record
from litestar import Litestar, get
from litestar.testing import AsyncTestClient

from cartwright.testkit.service import NothingRevoked
from chassis import actor, context
from chassis.batching import Batcher
from chassis.lifecycle import Loop
from chassis.messaging import journal
from chassis.messaging.envelope import decode, split
from chassis.messaging.journal import Event
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database
from chassis.security import access
from chassis.security.tokens import TokenVerifier, UserKeys
from chassis.web.application import application

PERSON = UUID("0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01")
Client = AsyncTestClient[Litestar]


class Nothing(msgspec.Struct):
    pass


def _event(**more: Any) -> Event:
    return Event(type="thing.changed", subject=str(uuid4()), data=Nothing(), **more)


@get("/own", guards=[access.signed_in])
async def as_oneself() -> str | None:
    return _event().actor


@get("/all", guards=[access.administrator])
async def as_administrator() -> str | None:
    return _event().actor


@get("/mend", guards=[access.operator])
async def as_operator() -> str | None:
    return _event().actor


@get("/internal", guards=[access.services("storefront")])
async def as_service() -> str | None:
    return _event().actor


@get("/open", guards=[access.public])
async def as_anybody() -> str | None:
    return _event().actor


class Worker:
    """A part with a loop, which tells whose act its events are."""

    def __init__(self) -> None:
        self.actors: list[str | None] = []
        self._loop = Loop("worker", self._turn, rest_s=10.0)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _turn(self) -> bool:
        self.actors.append(_event().actor)
        return False


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def client(worker: Worker, user_jwks: str, service_jwks: str) -> AsyncIterator[Client]:
    async def fetch() -> dict[str, Any]:
        return json.loads(user_jwks)  # type: ignore[no-any-return]

    async def is_healthy() -> bool:
        return True

    app = application(
        name="things",
        description="Things.",
        routes=[as_oneself, as_administrator, as_operator, as_service, as_anybody],
        parts=[worker],
        verifier=TokenVerifier(
            service="things",
            issuer="cartwright",
            user_keys=UserKeys(fetch),
            rights=NothingRevoked(),
            service_keys=service_jwks,
        ),
        is_healthy=is_healthy,
    )
    async with AsyncTestClient(app) as client, asyncio.timeout(5):
        while (await client.get("/ready")).status_code != 200:
            await asyncio.sleep(0)
        yield client


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/own", f"user:{PERSON}"),
        ("/all", f"operator:{PERSON}"),
        ("/mend", f"operator:{PERSON}"),
        ("/open", f"user:{PERSON}"),
    ],
)
async def test_what_a_person_does_is_the_act_of_that_person(
    client: Client, access_token: Callable[..., str], path: str, expected: str
) -> None:
    token = access_token(user_id=str(PERSON), roles=["customer", "admin"])
    answer = await client.get(path, headers={"authorization": f"Bearer {token}"})
    assert answer.text == expected


async def test_what_a_service_asks_for_is_its_act(client: Client, service_token: Callable[..., str]) -> None:
    token = service_token("storefront", "things")
    answer = await client.get("/internal", headers={"authorization": f"Bearer {token}"})
    assert answer.text == "service:storefront"


async def test_a_stranger_is_no_actor_and_the_one_before_is_forgotten(
    client: Client, access_token: Callable[..., str]
) -> None:
    await client.get("/open", headers={"authorization": f"Bearer {access_token(user_id=str(PERSON))}"})
    assert (await client.get("/open")).text in ("", "null")


async def test_background_work_is_the_act_of_the_service(client: Client, worker: Worker) -> None:
    async with asyncio.timeout(5):
        while not worker.actors:
            await asyncio.sleep(0)
    assert worker.actors == ["service:things"]


async def test_a_batch_is_the_act_of_none_of_those_who_are_in_it() -> None:
    async def work(items: Any) -> list[str | None]:
        return [_event().actor for _ in items]

    batcher: Batcher[int, str | None] = Batcher("test", work)
    with context.acting_as(actor.user(PERSON)):
        assert await batcher.submit(1) is None


async def test_an_event_says_who_did_it_and_the_past_that_it_is_not_known(database: Database) -> None:
    record = Record()

    async def write(connection: Connection) -> None:
        with context.acting_as(actor.operator(PERSON)):
            await journal.append(connection, [_event()])
        await journal.append(connection, [_event(actor=None)])
        await connection.execute(
            """
            INSERT INTO journal (event_id, type, subject, correlation_id, data)
            VALUES ($1, 'thing.changed', 'of a replica of the version before', 'c', '{}')
            """,
            uuid4(),
        )

    await database.run(write)
    await Relay("things", database, record)._turn()  # type: ignore[arg-type]
    events = [decode(event) for message in record.published for event in split(message.body)]
    assert [event.actor for event in events] == [f"operator:{PERSON}", None, "unknown"]


def test_an_event_of_the_version_before_is_by_an_unknown_actor() -> None:
    event = {
        "id": str(uuid4()),
        "source": "/things",
        "type": "thing.changed",
        "subject": "s",
        "time": "2026-01-31T12:00:00Z",
        "sequence": "1",
        "correlationid": "c",
        "data": {},
    }
    assert decode(msgspec.json.encode(event)).actor == actor.UNKNOWN


def test_a_customer_sees_that_it_was_an_operator_and_not_which_one() -> None:
    assert actor.without_operator_id(actor.operator(PERSON)) == "operator"
    for other in (actor.user(PERSON), actor.service("things"), actor.UNKNOWN, None):
        assert actor.without_operator_id(other) == other
