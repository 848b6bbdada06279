"""A service's login reads and writes rows and owns nothing; the reader reads the views that are meant for it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from cartwright.testkit import servers
from cartwright.testkit.servers import PostgresServer
from chassis.persistence.database import Database

FIRST = """-- The first tables
-- depends:

-- migrate: apply
CREATE TABLE things (id int PRIMARY KEY, secret text);
CREATE TABLE happenings (id int PRIMARY KEY);
COMMENT ON TABLE happenings IS 'append-only: they are history';
CREATE SCHEMA verification;
CREATE VIEW verification.things AS SELECT id FROM things;

-- migrate: rollback
DROP TABLE things;
"""
SECOND = """-- One more
-- depends: 0001_first

-- migrate: apply
CREATE TABLE more (id int PRIMARY KEY);

-- migrate: rollback
DROP TABLE more;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("0001_first.sql").write_text(FIRST)
    return tmp_path


@pytest.fixture
def owner_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


async def _start(owner_url: str, folder: Path) -> None:
    database = Database(servers.service_url(owner_url), owner_url=owner_url, migrations=folder)
    await database.start()
    await database.stop()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def test_a_service_reads_and_writes_rows(owner_url: str, folder: Path) -> None:
    await _start(owner_url, folder)
    async with _connected(servers.service_url(owner_url)) as service:
        await service.execute("INSERT INTO things VALUES (1, 'a'); UPDATE things SET secret = 'b'; DELETE FROM things")
        await service.execute("INSERT INTO happenings VALUES (1)")
        assert await service.fetchval("SELECT count(*) FROM happenings") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE things",
        "TRUNCATE things",
        "ALTER TABLE things DROP COLUMN secret",
        "CREATE TABLE own (id int)",
        "CREATE TEMPORARY TABLE own (id int)",
        "CREATE SCHEMA own",
        "CREATE TRIGGER t BEFORE INSERT ON things EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "UPDATE happenings SET id = 2",
        "DELETE FROM happenings",
        "DELETE FROM _pogo_migration",
        "COMMENT ON TABLE happenings IS NULL",
        "SELECT rolpassword FROM pg_authid",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
    ],
)
async def test_a_service_changes_no_table_and_no_history(owner_url: str, folder: Path, statement: str) -> None:
    await _start(owner_url, folder)
    async with _connected(servers.service_url(owner_url)) as service:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)


async def test_a_reader_reads_the_views_that_are_meant_for_it_by_their_names(owner_url: str, folder: Path) -> None:
    await _start(owner_url, folder)
    async with _connected(owner_url) as owner:
        await owner.execute("INSERT INTO things VALUES (7, 'a')")
    async with _connected(servers.reader_url(owner_url)) as reader:
        assert dict(await reader.fetchrow("SELECT * FROM things") or {}) == {"id": 7}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT secret FROM public.things",
        "SELECT * FROM public.happenings",
        "SELECT * FROM public._pogo_migration",
        "SELECT rolpassword FROM pg_authid",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_read_file('PG_VERSION')",
        "CREATE TEMPORARY TABLE own (id int)",
        "CREATE TABLE verification.own (id int)",
        "DELETE FROM things",
        "INSERT INTO things VALUES (1)",
    ],
)
async def test_a_reader_reads_nothing_else_and_writes_nothing(owner_url: str, folder: Path, statement: str) -> None:
    await _start(owner_url, folder)
    async with _connected(servers.reader_url(owner_url)) as reader:
        await reader.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)


async def test_a_table_that_comes_later_is_granted_and_what_was_granted_by_hand_is_revoked(
    owner_url: str, folder: Path
) -> None:
    await _start(owner_url, folder)
    folder.joinpath("0002_second.sql").write_text(SECOND)
    async with _connected(owner_url) as owner:
        login = owner_url.rpartition("/")[2]
        await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {login}_service, {login}_reader")
    await _start(owner_url, folder)
    async with _connected(servers.service_url(owner_url)) as service:
        await service.execute("INSERT INTO more VALUES (1)")
        for statement in ("TRUNCATE things", "DELETE FROM happenings"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)
    async with _connected(servers.reader_url(owner_url)) as reader:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("SELECT * FROM public.things")


async def test_a_start_that_finds_nothing_to_grant_writes_nothing(owner_url: str, folder: Path) -> None:
    await _start(owner_url, folder)
    async with _connected(owner_url) as owner:
        before = await owner.fetchval("SELECT max(xmin::text::bigint) FROM pg_class")
        await _start(owner_url, folder)
        assert await owner.fetchval("SELECT max(xmin::text::bigint) FROM pg_class") == before


async def test_replicas_that_start_at_once_grant_once(owner_url: str, folder: Path) -> None:

    await asyncio.gather(*(_start(owner_url, folder) for _ in range(4)))
    async with _connected(servers.service_url(owner_url)) as service:
        assert await service.fetchval("SELECT count(*) FROM things") == 0
