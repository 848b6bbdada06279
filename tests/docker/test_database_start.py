"""What a database's container does at its start, by the programs of the embedded PostgreSQL in place of the image's."""

import os
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

from cartwright.compose.secrets import make_secrets
from cartwright.launcher import postgres
from cartwright.testkit.servers import PostgresServer

SCRIPT = Path(__file__).parents[2] / "deploy" / "compose" / "database.sh"
# As the image's: the first becomes another user, the second starts the server.
SETPRIV = """#!/bin/bash
shift 3
exec {become} {programs}/"$@"
"""
ENTRYPOINT = """#!/bin/bash
echo started "$@"
"""


@pytest.fixture
def logins(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets" / "orders" / "logins.sql"


def start(server: PostgresServer, logins: Path) -> "subprocess.CompletedProcess[str]":
    programs = logins.parent / "programs"
    programs.mkdir(exist_ok=True)
    user = postgres.server_user()
    become = (
        ""
        if user is None
        else f"{shutil.which('setpriv')} --reuid {user} --regid {postgres.server_group(user)} --clear-groups"
    )
    for name, text in (
        ("setpriv", SETPRIV.format(become=become, programs=postgres.server_programs().folder)),
        ("docker-entrypoint.sh", ENTRYPOINT),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return subprocess.run(
        ["bash", str(SCRIPT), "postgres", "-cshared_buffers=64MB"],
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGDATA": str(server.cluster),
            "SERVICE": "orders",
            "LOGINS": str(logins),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def initialise(server: PostgresServer, logins: Path) -> None:
    """As the image does on an empty volume."""
    of_server, _, of_database = logins.read_text().partition("\\connect orders\n")
    for statements, database in ((of_server, "postgres"), (of_database, "orders")):
        server.execute(*(line.removesuffix(";") for line in statements.splitlines()), database=database)


async def connect(server: PostgresServer, url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(url.replace("orders-database:5432", f"{server.host}:{server.port}"), timeout=5)


def secret(logins: Path, name: str) -> str:
    return logins.with_name(name).read_text()


async def test_an_empty_volume_gets_a_database_with_its_logins(own_postgres: PostgresServer, logins: Path) -> None:
    initialise(own_postgres, logins)
    for file, login in (("database-url", "orders_service"), ("database-owner-url", "orders")):
        connection = await connect(own_postgres, secret(logins, file))
        assert await connection.fetchval("SELECT current_user") == login
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT lo_create(0)")
        await connection.close(timeout=5)


async def test_a_volume_of_an_earlier_version_gets_the_logins_that_it_lacks(
    own_postgres: PostgresServer, logins: Path
) -> None:
    own_postgres.execute("CREATE ROLE orders LOGIN PASSWORD 'old'", "CREATE DATABASE orders OWNER orders")
    own_postgres.stop()
    for _ in range(2):
        completed = start(own_postgres, logins)
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout == "started postgres -cshared_buffers=64MB\n"
    own_postgres.start()
    connection = await connect(own_postgres, secret(logins, "database-url"))
    assert await connection.fetchval("SELECT current_user") == "orders_service"
    await connection.close(timeout=5)


def test_a_start_whose_logins_cannot_be_set_fails_and_says_why(own_postgres: PostgresServer, logins: Path) -> None:
    own_postgres.execute("CREATE DATABASE orders")
    own_postgres.stop()
    logins.chmod(0o644)
    logins.write_text("ALTER ROLE nobody_at_all PASSWORD 'x';\n")
    completed = start(own_postgres, logins)
    assert completed.returncode != 0
    assert "nobody_at_all" in completed.stderr
