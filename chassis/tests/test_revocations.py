"""The follower of revocations: whom it refuses, what it does while users is away, and how much it keeps."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cartwright.testkit import keys
from chassis.problems import TokenRevoked
from chassis.security import revocations
from chassis.security.revocations import RevocationFollower, RightsUnknown
from chassis.security.tokens import Caller, keys_by_id
from chassis.telemetry.metrics import REVOCATIONS_AGE
from chassis.web.client import BREAKER_FAILURES, ServiceClient

Until = Callable[..., Awaitable[None]]
USER = UUID("0197f0c8-0000-7000-8000-000000000001")


def customer(session: str = "s", version: int = 1, **more: Any) -> Caller:
    given = {"user_id": USER, "roles": frozenset({"customer"}), "session_id": session, "account_version": version}
    return Caller(**(given | more))


def administrator() -> Caller:
    return customer(roles=frozenset({"customer", "admin"}))


class Users:
    """What users has to tell, and what it was asked."""

    def __init__(self, jwks: str) -> None:
        self.revoked: list[dict[str, Any]] = []
        self.issued_before: str | None = None
        self.is_down = False
        self.cursors: list[str | None] = []
        self._jwks = jwks

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/revocations", self._tell)
        app.router.add_get("/.well-known/jwks.json", self._keys)
        return app

    async def _tell(self, request: web.Request) -> web.Response:
        self.cursors.append(request.query.get("after"))
        if self.is_down:
            return web.Response(status=500)
        after = int(request.query.get("after", "0"))
        items = [{"session_id": None, "user_id": None, "version": None} | item for item in self.revoked[after:]]
        told = {"items": items, "cursor": str(len(self.revoked)), "issued_before": self.issued_before}
        return web.json_response(told)

    async def _keys(self, _: web.Request) -> web.Response:
        return web.Response(text=self._jwks, content_type="application/json")


@pytest.fixture
def users(user_jwks: str, monkeypatch: pytest.MonkeyPatch) -> Users:
    monkeypatch.setattr(revocations, "POLL_S", 0.02)
    return Users(user_jwks)


@pytest.fixture
async def follow(users: Users) -> AsyncIterator[Callable[[], Awaitable[RevocationFollower]]]:
    async with AsyncExitStack() as running:
        server = await running.enter_async_context(TestServer(users.app()))

        async def start() -> RevocationFollower:
            client = ServiceClient("users", str(server.make_url("")).rstrip("/"), None)
            follower = RevocationFollower(client)
            for part in (client, follower):
                await part.start()
                running.push_async_callback(part.stop)
            return follower

        yield start


@pytest.fixture
async def follower(follow: Callable[[], Awaitable[RevocationFollower]]) -> RevocationFollower:
    return await follow()


async def is_refused(follower: RevocationFollower, caller: Caller) -> bool:
    try:
        await follower.confirm(caller)
    except TokenRevoked:
        return True
    return False


async def test_the_tokens_of_a_session_are_refused_and_of_no_other(
    users: Users, follower: RevocationFollower, until: Until
) -> None:
    await follower.confirm(customer("ended"))
    users.revoked.append({"session_id": "ended"})
    await until(lambda: is_refused(follower, customer("ended")))
    await follower.confirm(customer("another"))


async def test_tokens_of_an_earlier_version_of_the_account_are_refused_and_later_ones_are_not(
    users: Users, follower: RevocationFollower, until: Until
) -> None:
    users.revoked += [{"user_id": str(USER), "version": 7}, {"user_id": str(USER), "version": 5}]
    await until(lambda: is_refused(follower, customer(version=6)))
    assert await is_refused(follower, customer(version=0)), "of a version of users that told none"
    await follower.confirm(customer(version=7))
    await follower.confirm(customer(version=1, user_id=uuid4()))


async def test_in_place_of_what_is_left_out_all_older_tokens_are_refused(
    users: Users, follow: Callable[[], Awaitable[RevocationFollower]]
) -> None:
    users.issued_before = "2026-01-01T12:00:00Z"
    follower = await follow()
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    assert await is_refused(follower, customer(issued_at=noon - 1))
    await follower.confirm(customer(issued_at=noon + 1))


async def test_only_news_are_asked_for_and_everything_is_read_anew_at_times(
    users: Users, follower: RevocationFollower, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: len(users.cursors) > 3)
    assert users.cursors[:4] == [None, "0", "0", "0"]
    users.revoked.append({"session_id": "old"})
    await until(lambda: is_refused(follower, customer("old")))
    # What no living token can have any more is told no more, and is forgotten.
    users.revoked.clear()
    monkeypatch.setattr(revocations, "REREAD_S", 0.0)
    follower._reread_at = 0.0
    await until(lambda: users.cursors[-1] is None and not follower._sessions)
    await follower.confirm(customer("old"))


async def test_what_is_kept_is_bounded(
    users: Users, follower: RevocationFollower, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "REVOCATIONS_MAX", 5)
    await follower.confirm(customer())
    users.revoked += [{"session_id": str(number)} for number in range(11)]
    await until(lambda: is_refused(follower, customer("10")))
    asked = len(users.cursors)
    users.revoked.clear()
    await until(lambda: None in users.cursors[asked:] and not follower._sessions)


async def test_while_users_is_away_customers_go_on_and_administrators_only_for_a_while(
    users: Users, follower: RevocationFollower, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "ADMINISTRATORS_S_MAX", 0.5)
    users.revoked.append({"session_id": "ended"})
    await until(lambda: is_refused(follower, customer("ended")))
    await follower.confirm(administrator())
    users.is_down = True

    async def administrators_are_refused() -> bool:
        try:
            await follower.confirm(administrator())
        except RightsUnknown:
            return True
        return False

    await until(administrators_are_refused)
    [age] = [sample.value for metric in REVOCATIONS_AGE.collect() for sample in metric.samples]
    assert age > 0.5
    await follower.confirm(customer())
    assert await is_refused(follower, customer("ended"))
    users.is_down = False
    asked = len(users.cursors)
    await until(lambda: len(users.cursors) > asked)
    assert users.cursors[asked] is None, "it may be another database that answers now"

    async def administrators_are_served() -> bool:
        return not await administrators_are_refused()

    await until(administrators_are_served)


async def test_before_the_first_answer_people_wait_and_are_told_to_come_again(
    users: Users, follow: Callable[[], Awaitable[RevocationFollower]], monkeypatch: pytest.MonkeyPatch
) -> None:
    users.is_down = True
    users.revoked.append({"session_id": "ended"})
    monkeypatch.setattr(revocations, "FIRST_ANSWER_S_MAX", 0.2)
    follower = await follow()
    with pytest.raises(RightsUnknown):
        await follower.confirm(customer())
    monkeypatch.setattr(revocations, "FIRST_ANSWER_S_MAX", 10.0)
    waiting = asyncio.create_task(is_refused(follower, customer("ended")))
    users.is_down = False
    assert await waiting


async def test_polls_that_fail_hold_back_no_other_call_to_users(
    users: Users, follow: Callable[[], Awaitable[RevocationFollower]], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "PAUSE_S_MAX", 0.1)
    users.is_down = True
    follower = await follow()
    await until(lambda: len(users.cursors) > BREAKER_FAILURES)
    (key_id,) = keys_by_id(json.loads(users._jwks))
    assert await follower.keys.key(key_id) is not None


async def test_a_check_waits_for_nothing(users: Users, follower: RevocationFollower) -> None:
    await follower.confirm(customer())
    check = follower.confirm(customer())
    with pytest.raises(StopIteration):
        check.send(None)


async def test_a_signing_key_that_users_has_withdrawn_is_forgotten(
    users: Users, follower: RevocationFollower, until: Until
) -> None:
    await until(lambda: bool(follower.keys._keys))
    withdrawn = set(follower.keys._keys)
    users._jwks = keys.public_keys([keys.make_key("the next")])
    follower._reread_at = 0.0
    await until(lambda: set(follower.keys._keys) == {"the next"})
    assert withdrawn != {"the next"}
