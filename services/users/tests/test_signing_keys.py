"""Signing keys: replicas share them, and a rotation never meets a verifier that does not know the key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from cartwright.testkit import servers
from cartwright.testkit.servers import PostgresServer
from chassis.persistence.database import Connection, Database
from chassis.security.tokens import Caller
from users.app import MIGRATIONS
from users.store import signing_keys

pytestmark = pytest.mark.asyncio(loop_scope="module")
AHEAD_S = 600
LIFETIME_S = 900
ADMINISTRATOR = Caller(user_id=UUID(int=1), roles=frozenset({"admin"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    url = postgres.make_database()
    database = Database(servers.service_url(url), owner_url=url, migrations=MIGRATIONS)
    await database.start()
    yield database
    await database.stop()
    postgres.drop_database(url)


@pytest_asyncio.fixture(loop_scope="module")
async def database(shared_database: Database) -> Database:
    """A database without any key."""

    async def delete_all(connection: Connection) -> None:
        await connection.execute("DELETE FROM signing_keys")

    await shared_database.run(delete_all)
    return shared_database


async def let_time_pass(database: Database, seconds: float) -> None:
    """Move every time of every key into the past."""

    async def work(connection: Connection) -> None:
        await connection.execute(
            """
            UPDATE signing_keys
            SET published_at = published_at - moved.back,
                signs_from = signs_from - moved.back,
                retires_at = retires_at - moved.back
            FROM (SELECT make_interval(secs => $1) AS back) AS moved
            """,
            seconds,
        )

    await database.run(work)


def signed_with(keys: Any) -> str:
    jwks = KeySet.import_key_set(keys.ring.jwks())
    return str(jwt.decode(keys.sign(), jwks, algorithms=["ES256"]).header["kid"])


async def test_replicas_that_start_together_make_one_key(database: Database, replica: Any) -> None:
    replicas = [replica(database) for _ in range(4)]

    async def hold_up(connection: Connection) -> None:
        await signing_keys.lock_table(connection)
        starts.extend(asyncio.create_task(keys.rotation.run_once()) for keys in replicas)
        async with asyncio.timeout(10):
            while await database.read(waiting_for_a_lock) < len(replicas):
                await asyncio.sleep(0.02)

    starts: list[asyncio.Task[bool]] = []
    await database.run(hold_up)
    await asyncio.gather(*starts)
    assert len({signed_with(keys) for keys in replicas}) == 1
    assert {len(keys.published()) for keys in replicas} == {1}


async def test_users_refuses_tokens_of_a_key_that_was_deleted(database: Database, replica: Any) -> None:
    keys = replica(database)
    await keys.rotation.run_once()
    [stolen] = keys.published()
    assert await keys.ring.verifying.key(stolen) is not None

    async def delete_key(connection: Connection) -> None:
        await connection.execute("DELETE FROM signing_keys")

    await database.run(delete_key)
    await keys.rotation.run_once()
    assert await keys.ring.verifying.key(stolen) is None
    assert signed_with(keys) != stolen


async def waiting_for_a_lock(connection: Connection) -> int:
    count: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return count


async def test_through_a_rotation_every_verifier_knows_every_key(database: Database, replica: Any) -> None:
    replicas = [replica(database), replica(database)]
    for keys in replicas:
        await keys.rotation.run_once()
    first = signed_with(replicas[0])
    await let_time_pass(database, 3600)
    await replicas[0].rotate(ADMINISTRATOR)

    minutes = 45
    signing: list[set[str]] = []
    known: list[set[str]] = []
    for _ in range(minutes):
        for keys in replicas:
            await keys.rotation.run_once()
        signing.append({signed_with(keys) for keys in replicas})
        known.append(set(replicas[1].published()))
        await let_time_pass(database, 60)

    assert signing[0] == {first}
    assert first not in signing[-1]
    for minute, key_ids in enumerate(signing):
        # A copy of the JWKS may be nine minutes old, and a token lives for fifteen.
        for at in range(max(0, minute - 9), min(minutes, minute + 16)):
            assert key_ids <= known[at], f"signed in minute {minute}, checked with the keys of minute {at}"
    assert first not in known[-1], "a retired key is not published any more"


async def test_several_replicas_rotate_an_old_key_once(database: Database, replica: Any) -> None:
    replicas = [replica(database, rotation_s=3600) for _ in range(4)]
    for keys in replicas:
        await keys.rotation.run_once()
    first = signed_with(replicas[0])
    await let_time_pass(database, 3601)
    await asyncio.gather(*(keys.rotation.run_once() for keys in replicas))
    for keys in replicas:
        await keys.rotation.run_once()
        assert len(keys.published()) == 2
        assert signed_with(keys) == first, "the next key is published and does not sign yet"
    await let_time_pass(database, AHEAD_S + 1)
    await replicas[0].rotation.run_once()
    assert signed_with(replicas[0]) == replicas[0].published()[-1] != first


async def test_a_service_that_was_stopped_for_months_signs_with_its_old_key(database: Database, replica: Any) -> None:
    keys = replica(database)
    await keys.rotation.run_once()
    first = signed_with(keys)
    await let_time_pass(database, 100 * 24 * 3600)
    restarted = replica(database)
    await restarted.rotation.run_once()
    assert signed_with(restarted) == first
    assert len(restarted.published()) == 2


async def test_a_retired_private_key_is_deleted(database: Database, replica: Any) -> None:
    keys = replica(database)
    await keys.rotation.run_once()
    await keys.rotate(ADMINISTRATOR)
    await let_time_pass(database, AHEAD_S + LIFETIME_S + 30)
    await database.run(signing_keys.delete_retired)
    assert len(await database.read(signing_keys.read_published)) == 2, "clocks may differ by a minute"
    await let_time_pass(database, 31)
    await database.run(signing_keys.delete_retired)
    assert len(await database.read(signing_keys.read_published)) == 1


async def test_an_administrator_rotates_the_keys_and_a_repetition_changes_nothing(start: Any) -> None:
    async with start() as service:
        token = await service.administrator()
        first = await service.call("POST", "/auth/keys/rotate", token=token)
        assert first.status_code == 202
        again = await service.call("POST", "/auth/keys/rotate", token=token)
        assert (again.status_code, again.json()) == (202, first.json())
        acts = await service.rows("SELECT subject, actor FROM journal WHERE type = 'operator.acted'")
        assert [row["actor"].partition(":")[0] for row in acts] == ["operator"]

        answer = await jwks(service)
        assert answer.headers["cache-control"] == "public, max-age=60"
        keys = answer.json()["keys"]
        assert [key["kid"] for key in keys][1:] == [first.json()["kid"]]
        for key in keys:
            assert set(key) == {"kid", "x", "y", "kty", "crv", "use", "alg"}, "the public members only"


async def test_tokens_of_one_replica_are_accepted_by_the_other_and_after_a_restart(start: Any) -> None:
    async with start() as one:
        user = await one.new_user()
        async with start() as other:
            assert (await other.call("GET", "/users/me", token=user.access_token)).status_code == 200
            assert (await other.refresh(user.refresh_token)).status_code == 200
    async with start() as again:
        assert (await again.call("GET", "/users/me", token=user.access_token)).status_code == 200


async def test_a_token_signed_right_after_its_key_begins_to_sign_is_accepted_at_once(start: Any) -> None:
    async with start(key_publish_ahead_s=0) as service:
        old = await service.administrator()
        await service.call("POST", "/auth/keys/rotate", token=old)
        new = await service.administrator()
        assert key_id_of(new) != key_id_of(old)
        for token in (old, new):
            assert (await service.call("GET", "/users/me", token=token)).status_code == 200


async def jwks(service: Any) -> httpx.Response:
    answer: httpx.Response = await service.call("GET", "/.well-known/jwks.json")
    return answer


def key_id_of(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])
