"""A user from the registration to the sign-out, over HTTP, with the events on a real broker."""

import asyncio
from typing import Any

import msgspec
import pytest

from chassis.lifecycle import keep_trying
from chassis.messaging import envelope
from chassis.messaging.broker import BrokerUnavailable
from chassis.messaging.brokers import broker_for
from chassis.persistence.database import Connection, Database


async def test_a_user_registers_signs_in_refreshes_and_signs_out(start: Any) -> None:
    async with start() as service:
        registered = await service.register(" Ada@Example.COM ", "  Ada Lovelace ")
        assert registered.status_code == 201
        body = registered.json()
        assert set(body) == {"id", "email", "name", "created_at"}
        assert (body["email"], body["name"]) == ("ada@example.com", "Ada Lovelace")
        assert registered.headers["location"] == f"/users/{body['id']}"

        signed_in = await service.sign_in("ADA@example.com")
        assert signed_in.status_code == 200, signed_in.text
        assert signed_in.headers["cache-control"] == "no-store"
        tokens = signed_in.json()
        assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token", "device_token"}
        assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)

        profile = await service.call("GET", "/users/me", token=tokens["access_token"])
        assert profile.status_code == 200
        assert profile.json() == {
            **body,
            "roles": ["customer"],
            "preferences": {"order_emails": True, "payment_emails": True},
        }

        refreshed = await service.refresh(tokens["refresh_token"])
        assert refreshed.status_code == 200
        newest = refreshed.json()["refresh_token"]
        for _ in range(2):
            assert (await service.call("POST", "/auth/sign-out", json={"refresh_token": newest})).status_code == 204
        assert (await service.refresh(newest)).json()["code"] == "invalid_grant"


async def test_a_registration_reaches_the_broker_as_an_event(start: Any, events_url: str) -> None:
    broker = broker_for(events_url, "test")
    await broker.start()
    subscriptions: list[Any] = []

    async def subscribe() -> None:
        subscriptions.append(await broker.subscribe("test", ["user.*"]))

    await keep_trying("broker", subscribe, on=(BrokerUnavailable,))
    async with start(events_url=events_url, admin_email="", admin_password="") as service, asyncio.timeout(15):
        registered = await service.call(
            "POST",
            "/users",
            json={"email": "ada@example.com", "name": "Ada", "password": "correct horse battery"},
            headers={"x-request-id": "the-first-purchase"},
        )
        deliveries: list[Any] = []
        while not deliveries:
            deliveries = list(await subscriptions[0].fetch(10, 0.5))
    (event,) = [envelope.decode(text) for text in envelope.split(deliveries[0].body)]
    assert (event.type, event.source, event.correlationid) == ("user.registered", "/users", "the-first-purchase")
    assert event.subject == msgspec.json.decode(event.data)["user_id"] == registered.json()["id"]
    await broker.stop()


async def test_each_change_happens_once_when_the_answer_to_every_commit_is_lost(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_once = Database.run

    async def run_twice(self: Database, work: Any) -> Any:
        # As `Database.run` does when the connection breaks between the commit and its answer.
        async def recorded(connection: Connection) -> Any:
            return await work(connection)

        await run_once(self, recorded)
        return await run_once(self, recorded)

    async with start() as service:
        monkeypatch.setattr(Database, "run", run_twice)
        user = await service.new_user()
        assert (await service.refresh(user.refresh_token)).status_code == 200
        changed = await service.call("PATCH", "/users/me", token=user.access_token, json={"name": "Countess"})
        assert changed.json()["name"] == "Countess"
        assert (await service.call("DELETE", "/users/me", token=user.access_token)).status_code == 204
        assert [(type_, data["version"]) for type_, data in await service.events_of(user.id)] == [
            ("user.registered", 1),
            ("user.updated", 2),
            ("user.deleted", 3),
        ]
