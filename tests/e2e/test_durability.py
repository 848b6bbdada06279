"""What a part confirms is on the disk: a power failure loses nothing that another part relies on."""

import asyncio
import json
import urllib.request

import asyncpg

from cartwright.launcher.layout import LOOPBACK
from cartwright.testkit.system import SystemUnderTest


def test_the_broker_syncs_what_it_confirms(system: SystemUnderTest) -> None:
    monitor = f"http://{LOOPBACK}:{system.opened().ports.nats_monitor}/varz"
    with urllib.request.urlopen(monitor, timeout=5) as answer:
        assert json.load(answer)["jetstream"]["config"]["sync_always"] is True


def test_the_database_syncs_what_it_commits(system: SystemUnderTest) -> None:
    async def settings() -> dict[str, str]:
        connection = await asyncpg.connect(system.opened().reader_url("orders"), timeout=5)
        try:
            rows = await connection.fetch("SELECT name, setting FROM pg_settings")
            return {row["name"]: row["setting"] for row in rows}
        finally:
            await connection.close()

    found = asyncio.run(settings())
    durable = ("fsync", "synchronous_commit", "full_page_writes")
    assert [found[name] for name in durable] == ["on", "on", "on"]
