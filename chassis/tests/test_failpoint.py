"""A process dies where it was told to, once and without a farewell, and only where that is allowed."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chassis import failpoint
from chassis.persistence.database import Database
from chassis.settings import SettingsError, StatelessSettings, read_settings

SETTINGS = {"PORT": "8011", "SERVICE_KEY": "{}", "SERVICE_KEYS": "{}", "USERS_URL": "http://localhost:8011"}
PROGRAM = """
import atexit
from chassis import failpoint
from chassis.settings import StatelessSettings

failpoint.arm("shop", StatelessSettings(port=1, service_key="", service_keys="", users_url="", crash_folder={folder!r}))
atexit.register(print, "farewell")
for number in range(3):
    failpoint.hit("sell", "before commit")
    failpoint.hit("sell", "after commit")
"""


def settings(**more: str) -> StatelessSettings:
    return read_settings(StatelessSettings, SETTINGS | more)


@pytest.fixture
def sell(tmp_path: Path) -> Callable[[], "subprocess.CompletedProcess[str]"]:
    """Runs a process that sells three times."""
    program = PROGRAM.format(folder=str(tmp_path))
    return lambda: subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The places that this very process has passed."""
    failpoint.arm("test", settings(CRASH_FOLDER=str(tmp_path)))
    yield lambda: (tmp_path / "test.passed").read_text().splitlines()
    failpoint.arm("test", settings())


@pytest.mark.parametrize(("at", "count"), [("sell: after commit", 2), ("sell: before commit:3", 5)])
def test_a_process_dies_at_the_place_and_pass_named_and_its_successor_lives(
    at: str, count: int, sell: Callable[[], "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    (tmp_path / "shop.at").write_text(at)
    died = sell()
    assert (died.returncode, died.stdout, died.stderr) == (-signal.SIGKILL, "", "")
    assert len((tmp_path / "shop.passed").read_text().splitlines()) == count
    assert (lived := sell()).returncode == 0, lived.stderr
    assert lived.stdout == "farewell\n"


def test_a_process_passes_places_that_were_not_named(
    sell: Callable[[], "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    (tmp_path / "shop.at").write_text("sell: before commit:4")
    (tmp_path / "catalog.at").write_text("sell: before commit")
    assert sell().returncode == 0


@pytest.mark.parametrize("environment", ["production", "Production", "staging"])
def test_nothing_but_development_is_crashed(environment: str) -> None:
    with pytest.raises(SettingsError, match="CRASH_FOLDER is for ENVIRONMENT=development only"):
        settings(CRASH_FOLDER="/tmp", ENVIRONMENT=environment)


class Shop:
    def __init__(self, database: Database) -> None:
        self.database = database

    async def sell(self) -> None:
        await self.database.run(lambda connection: connection.execute("INSERT INTO effect (name) VALUES ('sold')"))

    async def look(self) -> None:
        await self.database.run(lambda connection: connection.fetch("SELECT name FROM effect"))


async def test_a_transaction_is_named_by_who_asks_for_it_and_only_where_it_changes_something(
    database: Database, passed: Callable[[], list[str]]
) -> None:
    shop = Shop(database)
    await shop.sell()
    await shop.look()
    assert passed() == ["Shop.sell: before commit", "Shop.sell: after commit"]


async def _write(database: Database) -> None:
    await database.run(lambda connection: connection.execute("INSERT INTO effect (name) VALUES ('sold')"))


async def test_a_private_function_is_named_with_its_module(database: Database, passed: Callable[[], list[str]]) -> None:
    await _write(database)
    assert passed() == ["test_failpoint._write: before commit", "test_failpoint._write: after commit"]


async def test_what_is_killed_before_its_commit_was_not_done_and_after_it_was(
    tmp_path: Path, service_url: str, database: Database, migrations: Path
) -> None:
    program = f"""
import asyncio
from pathlib import Path
from chassis import failpoint
from chassis.persistence.database import Database
from chassis.settings import StatelessSettings

async def sell(connection):
    await connection.execute("INSERT INTO effect (name) VALUES ('sold')")

async def main():
    database = Database({service_url!r}, migrations=Path({str(migrations)!r}))
    await database.start()
    await database.run(sell)

settings = StatelessSettings(port=1, service_key="", service_keys="", users_url="", crash_folder={str(tmp_path)!r})
failpoint.arm("shop", settings)
asyncio.run(main())
"""
    for where, rows in (("before", 0), ("after", 1)):
        (tmp_path / "shop.at").write_text(f"sell: {where} commit")
        died = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
        assert await died.wait() == -signal.SIGKILL
        sold = await database.read(lambda connection: connection.fetchval("SELECT count(*) FROM effect"))
        assert sold == rows, where


def test_a_place_that_is_not_armed_costs_next_to_nothing() -> None:
    begun = time.perf_counter()
    for _ in range(10_000):
        failpoint.hit("sell", "before commit")
    assert time.perf_counter() - begun < 0.1, "10 microseconds each, which is already a hundred times too much"
