"""A service as a process: told to stop, it finishes what it has begun; and all that it says is JSON."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from cartwright.testkit.servers import free_port

PROGRAM = """
import asyncio
import structlog
from litestar import get
from chassis.security import access
from chassis.web.application import application
from chassis.web.server import run
from chassis.settings import StatelessSettings
from chassis.security.tokens import TokenVerifier, UserKeys
from cartwright.testkit.service import NothingRevoked

@get("/slow", guards=[access.anyone])
async def slow() -> str:
    structlog.get_logger().info("slow has begun")
    await asyncio.sleep(1)
    return "done"

async def fetch():
    raise OSError

async def is_healthy():
    return True

def build(settings):
    verifier = TokenVerifier(
        service="test",
        issuer=settings.token_issuer,
        user_keys=UserKeys(fetch),
        rights=NothingRevoked(),
        service_keys=settings.service_keys,
    )
    return application(
        name="test", description="", routes=[slow], parts=[], verifier=verifier, is_healthy=is_healthy
    )

run("test", StatelessSettings, build)
"""


class Service:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url


@pytest.fixture
def environment(service_jwks: str, tmp_path: Path) -> dict[str, str]:
    keys = tmp_path / "keys.json"
    keys.write_text(service_jwks)
    return {
        "PATH": os.environ["PATH"],
        "PORT": str(free_port()),
        "SERVICE_KEY": "{}",
        "SERVICE_KEYS_FILE": str(keys),
        "USERS_URL": "http://127.0.0.1:1",
    }


async def _start(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


@pytest.fixture
async def service(environment: dict[str, str]) -> AsyncIterator[Service]:
    process = await _start(environment)
    url = f"http://127.0.0.1:{environment['PORT']}"
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/ready") as answer:
                    if answer.status == 200:
                        break
            except aiohttp.ClientConnectionError:
                assert process.returncode is None, "the service ended at its start"
            await asyncio.sleep(0.05)
    yield Service(process, url)
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_a_service_told_to_stop_finishes_what_it_has_begun(service: Service) -> None:
    assert service.process.stdout is not None
    async with asyncio.timeout(10), aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(f"{service.url}/slow"))
        while b"slow has begun" not in await service.process.stdout.readline():
            pass
        service.process.send_signal(signal.SIGTERM)
        async with await asking as answer:
            assert (answer.status, await answer.text()) == (200, "done")
        assert await service.process.wait() == 0


async def test_all_that_a_service_says_is_json(service: Service) -> None:
    service.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        said, complained = await service.process.communicate()
    lines = [msgspec.json.decode(line, type=dict[str, object]) for line in said.splitlines()]
    assert "ready" in {line["event"] for line in lines}
    assert {line["service"] for line in lines} == {"test"}
    assert complained == b""


async def test_a_service_without_its_settings_says_which(environment: dict[str, str]) -> None:
    del environment["USERS_URL"]
    process = await _start(environment)
    async with asyncio.timeout(30):
        _, complained = await process.communicate()
    assert process.returncode == 1
    assert complained.decode().strip() == "test: USERS_URL is not set (nor USERS_URL_FILE)."
