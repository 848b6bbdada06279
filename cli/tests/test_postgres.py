"""The embedded cluster: a database and three logins for each service, and no way from one into another."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest

from cartwright.launcher import postgres
from cartwright.launcher.postgres_logins import Passwords
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import PostgresServer, temporary_folder

Connect = Callable[[str, str], AbstractAsyncContextManager["asyncpg.Connection[asyncpg.Record]"]]


def add_databases(server: PostgresServer, *names: str) -> None:
    """What the next start of a system with these services does."""
    server.stop()
    databases = {
        name: Passwords(f"{name}-password", f"{name}-service-password", f"{name}-reader-password") for name in names
    }
    postgres.prepare(server.cluster, server.port, "unused", databases, durable=False)
    server.start()


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[PostgresServer]:
    with temporary_folder(reaper) as folder:
        started = PostgresServer(folder, reaper)
        started.start()
        add_databases(started, "orders", "payments")
        yield started
        started.end()


@pytest.fixture
def connect(server: PostgresServer) -> Connect:
    """`connect(login, database)` with the login's own password."""

    @asynccontextmanager
    async def connected(login: str, database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        password = f"{login.replace('_', '-')}-password"
        connection = await asyncpg.connect(
            host=server.host, port=server.port, user=login, password=password, database=database, timeout=5
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    return connected


async def test_a_service_owns_its_database_and_is_no_superuser(connect: Connect) -> None:
    async with connect("orders", "orders") as connection:
        await connection.execute("CREATE TABLE owned (id int)")
        assert not await connection.fetchval("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = 'orders'")


@pytest.mark.parametrize("database", ["payments", "postgres", "template1"])
async def test_a_service_reaches_no_other_database(connect: Connect, database: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with connect("orders", database):
            pass


async def test_a_service_and_a_reader_have_no_rights_until_their_owner_grants_them(connect: Connect) -> None:
    async with connect("payments", "payments") as connection:
        await connection.execute("CREATE TABLE ledger AS SELECT 42 AS amount")
    for login in ("payments_service", "payments_reader"):
        async with connect(login, "payments") as connection:
            await connection.execute("SET default_transaction_read_only = off")
            for statement in (
                "TABLE public.ledger",
                "TABLE pg_authid",
                "SELECT lo_create(0)",
                "CREATE TEMP TABLE t ()",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)


async def test_a_reader_reaches_no_other_database(connect: Connect) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with connect("payments_reader", "orders"):
            pass


async def test_logins_of_an_earlier_version_are_renewed_and_the_data_stays(reaper: Reaper) -> None:
    """Then a service owned its tables as the login by which it ran, and its reader read everything."""
    with temporary_folder(reaper) as folder:
        server = PostgresServer(folder, reaper)
        server.start()
        server.execute(
            "CREATE ROLE orders LOGIN",
            "ALTER ROLE orders PASSWORD 'orders-password'",
            "CREATE ROLE orders_reader LOGIN",
            "ALTER ROLE orders_reader PASSWORD 'orders-reader-password'",
            "GRANT pg_read_all_data TO orders_reader",
            "CREATE DATABASE orders OWNER orders",
        )
        # The template of that version still let everybody write large objects.
        for function in ("lo_create(oid)", "lo_from_bytea(oid, bytea)"):
            server.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC", database="orders")
        server.execute("CREATE TABLE kept AS SELECT 1 AS id", "ALTER TABLE kept OWNER TO orders", database="orders")
        postgres.write_owned(server.cluster / postgres.DATABASES_MADE, "orders\n")
        add_databases(server, "orders")
        try:
            for login in ("orders_service", "orders_reader"):
                url = f"postgresql://{login}:{login.replace('_', '-')}-password@{server.host}:{server.port}/orders"
                connection = await asyncpg.connect(url, timeout=5)
                await connection.execute("SET default_transaction_read_only = off")
                for statement in ("TABLE public.kept", "TABLE pg_authid", "SELECT lo_create(0)"):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
                await connection.close(timeout=5)
            url = f"postgresql://orders:orders-password@{server.host}:{server.port}/orders"
            connection = await asyncpg.connect(url, timeout=5)
            assert await connection.fetchval("SELECT id FROM kept") == 1
            await connection.close(timeout=5)
        finally:
            server.end()


def test_a_password_that_was_changed_is_set_at_the_next_start(reaper: Reaper) -> None:
    with temporary_folder(reaper) as folder:
        cluster = folder / "postgresql"
        notes = set()
        for password in ("one", "one", "other"):
            postgres.prepare(cluster, 1, "secret", {"orders": Passwords("a", password, "c")}, durable=False)
            notes.add((cluster / postgres.DATABASES_MADE).read_text())
        assert len(notes) == 2


async def test_a_wrong_password_is_refused(server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=server.host, port=server.port, user="orders", password="wrong", database="orders", timeout=5
        )


async def test_a_service_added_later_gets_its_database_and_the_others_keep_theirs(
    server: PostgresServer, connect: Connect
) -> None:
    async with connect("orders", "orders") as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    add_databases(server, "orders", "payments", "loyalty")
    async with connect("loyalty", "loyalty") as connection:
        assert await connection.fetchval("SELECT current_user") == "loyalty"
    async with connect("orders", "orders") as connection:
        assert await connection.fetchval("SELECT id FROM kept") == 1


def test_a_cluster_left_half_made_is_made_again(reaper: Reaper) -> None:
    with temporary_folder(reaper) as folder:
        cluster = folder / "postgresql"
        unfinished = cluster.with_name("postgresql.unfinished")
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18")
        postgres.prepare(cluster, 1, "secret", {}, durable=False)
        assert (cluster / "global" / "pg_control").exists()
        assert not unfinished.exists()


def test_making_databases_twice_changes_nothing(reaper: Reaper) -> None:
    """As after a crash between the statements and the note that they were made."""
    with temporary_folder(reaper) as folder:
        cluster = folder / "postgresql"
        for _ in range(2):
            postgres.prepare(cluster, 1, "secret", {"orders": Passwords("a", "b", "c")}, durable=False)
            (cluster / postgres.DATABASES_MADE).write_text("")
        postgres.prepare(cluster, 1, "secret", {"orders": Passwords("a", "b", "c")}, durable=False)
        assert (cluster / postgres.DATABASES_MADE).read_text().split()[0] == "orders"


def test_what_was_committed_is_synced_to_disk_in_a_real_system(reaper: Reaper) -> None:
    with temporary_folder(reaper) as folder:
        cluster = folder / "postgresql"
        postgres.prepare(cluster, 1, "secret", {})
        settings = (cluster / "postgresql.conf").read_text()
    assert "fsync = on" in settings
    assert "full_page_writes = on" in settings
    assert "synchronous_commit = on" in settings


def test_a_lock_whose_process_id_belongs_to_another_program_is_discarded(own_postgres: PostgresServer) -> None:
    lock = own_postgres.cluster / "postmaster.pid"
    own_postgres.kill()
    lock.write_text(lock.read_text().replace(lock.read_text().split()[0], str(os.getpid()), 1))
    postgres.prepare(own_postgres.cluster, own_postgres.port, "unused", {}, durable=False)
    assert not lock.exists()
    own_postgres.start()


def test_the_lock_of_a_running_server_stays(own_postgres: PostgresServer) -> None:
    postgres.prepare(own_postgres.cluster, own_postgres.port, "unused", {}, durable=False)
    assert (own_postgres.cluster / "postmaster.pid").exists()


def test_the_server_reaches_its_data_whatever_the_umask(reaper: Reaper) -> None:
    umask = os.umask(0o077)
    try:
        with temporary_folder(reaper) as folder:
            server = PostgresServer(folder / "system", reaper)
            server.start()
            server.kill()
    finally:
        os.umask(umask)
