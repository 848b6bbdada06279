"""The servers that all other tests stand on."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from cartwright.launcher.reaper import Reaper
from cartwright.testkit.databases import MigratedDatabases
from cartwright.testkit.servers import NatsServer, PostgresServer, owner_url, wait_until


async def test_a_fresh_database_belongs_to_a_login_that_is_no_superuser(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, timeout=5)
    await connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert await connection.fetchval("SHOW server_version_num") >= "180000"
    await connection.close()


async def test_each_migrated_database_is_a_copy_of_its_own(migrated: MigratedDatabases, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text(
        "-- Orders\n-- depends:\n\n-- migrate: apply\nCREATE TABLE orders (id int);\n"
        "-- migrate: rollback\nDROP TABLE orders;\n"
    )
    with migrated(tmp_path) as one, migrated(tmp_path) as other:
        for url in (one, other):
            connection = await asyncpg.connect(owner_url(url), timeout=5)
            await connection.execute("ALTER TABLE orders ADD COLUMN mine int")
            await connection.close()


async def test_a_killed_postgres_starts_again_with_what_was_committed(own_postgres: PostgresServer) -> None:
    own_postgres.execute("CREATE TABLE kept AS SELECT 1 AS id")
    own_postgres.kill()
    own_postgres.start()
    connection = await asyncpg.connect(own_postgres.superuser_url, timeout=5)
    assert await connection.fetchval("SELECT id FROM kept") == 1
    await connection.close()


async def test_a_message_passes_through_the_broker(events_url: str) -> None:
    stream = events_url.rpartition("/")[2]
    connection = await nats.connect(events_url, connect_timeout=5)
    streams = connection.jetstream()
    await streams.add_stream(name=stream, subjects=[f"{stream}.>"])
    await streams.publish(f"{stream}.order.confirmed", b"1")
    assert (await streams.get_msg(stream, 1)).data == b"1"
    await connection.close()


async def test_a_killed_broker_starts_again_with_its_streams(own_nats: NatsServer) -> None:
    connection = await nats.connect(own_nats.url("kept"), connect_timeout=5)
    await connection.jetstream().add_stream(name="kept", subjects=["kept.>"])
    await connection.close()
    own_nats.kill()
    own_nats.start()
    connection = await nats.connect(own_nats.url("kept"), connect_timeout=5)
    assert (await connection.jetstream().stream_info("kept")).config.name == "kept"
    await connection.close()


OWNER = """
import time
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import owner_url, running_nats

with Reaper() as will, running_nats(will) as server:
    print(server.pid, server.folder, flush=True)
    time.sleep(60)
"""


def test_servers_and_folders_go_when_their_owner_is_killed() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, folder = owner.stdout.readline().split()
    owner.kill()
    owner.wait(5)
    wait_until(lambda: not psutil.pid_exists(int(pid)) and not Path(folder).exists(), "server and folder are gone")


def test_a_command_of_the_will_is_run_only_while_there_is_something_to_undo(tmp_path: Path) -> None:
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    with Reaper() as will:
        for folder in (there, gone):
            will.run_command(["touch", f"{folder}.undone"], while_exists=folder)
    assert (tmp_path / "there.undone").exists()
    assert not (tmp_path / "gone.undone").exists()


@pytest.mark.parametrize("roles", [["customer"], ["customer", "admin"]])
def test_an_access_token_names_its_user_and_roles(
    access_token: Callable[..., str], user_jwks: str, roles: list[str]
) -> None:
    token = jwt.decode(access_token(user_id="u1", roles=roles), KeySet.import_key_set(json.loads(user_jwks)))
    assert token.claims["sub"] == "u1"
    assert token.claims["roles"] == roles
