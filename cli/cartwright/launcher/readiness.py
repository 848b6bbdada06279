"""Asks each part of a running system whether it is ready, in the way in which it will be used."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
import asyncpg

from cartwright.launcher.layout import LOOPBACK, SERVICES, part_name
from cartwright.launcher.system import System

PROBE_SECONDS_MAX = 3


class Probes:
    """One connection pool for all questions. Used as an async context manager."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._access_token: str | None = None
        self._has_gateway_the_keys = False
        self._probes: Mapping[str, Callable[[], Awaitable[bool]]] = {
            "postgres": self._postgres_takes_logins,
            **({"nats": self._nats_is_healthy} if system.external_broker_url is None else {}),
            "mail": lambda: self._answers_200(f"http://{LOOPBACK}:{system.ports.mailbox}/health"),
            "gateway": self._gateway_passes_requests,
            **{
                part_name(name, replica): self._service_probe(system.service_url(name, replica))
                for name in SERVICES
                for replica in system.replicas
            },
        }

    async def __aenter__(self) -> "Probes":
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._system.gateway_tls or True),
            timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS_MAX),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def is_ready(self, part: str) -> bool:
        with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError, asyncpg.PostgresError):
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                return await self._probes[part]()
        return False

    async def all_ready(self) -> dict[str, bool]:
        answers = await asyncio.gather(*(self.is_ready(part) for part in self._probes))
        return dict(zip(self._probes, answers, strict=True))

    def _service_probe(self, address: str) -> Callable[[], Awaitable[bool]]:
        return lambda: self._answers_200(f"{address}/ready")

    async def _answers_200(self, url: str) -> bool:
        async with self._http.get(url) as answer:
            return answer.status == 200

    async def _nats_is_healthy(self) -> bool:
        return await self._answers_200(f"http://{LOOPBACK}:{self._system.ports.nats_monitor}/healthz")

    async def _postgres_takes_logins(self) -> bool:
        connection = await asyncpg.connect(self._system.superuser_url, timeout=PROBE_SECONDS_MAX)
        try:
            await connection.execute("SELECT")
        finally:
            connection.terminate()
        return True

    async def _gateway_passes_requests(self) -> bool:
        """Envoy listens before it has fetched the keys of users, and until then refuses every token.

        Once it has them its own word is enough: asking the whole way again would fill the logs.
        """
        if self._has_gateway_the_keys:
            self._has_gateway_the_keys = False
            admin = f"http://{LOOPBACK}:{self._system.ports.envoy_admin}"
            self._has_gateway_the_keys = await self._answers_200(f"{admin}/ready")
        else:
            self._has_gateway_the_keys = await self._gateway_takes_a_token()
        return self._has_gateway_the_keys

    async def _gateway_takes_a_token(self) -> bool:
        gateway = f"{self._system.gateway_address}/api"
        if self._access_token is None:
            self._access_token = await self._sign_in(gateway)
        if self._access_token is None or not await self._answers_200(f"{gateway}/products?limit=1"):
            return False
        bearer = {"Authorization": f"Bearer {self._access_token}"}
        async with self._http.get(f"{gateway}/users/me", headers=bearer) as answer:
            if answer.status == 401:
                self._access_token = None
            return answer.status == 200

    async def _sign_in(self, gateway: str) -> str | None:
        form = {
            "grant_type": "password",
            "username": self._system.credentials.administrator_email,
            "password": self._system.credentials.administrator,
        }
        async with self._http.post(f"{gateway}/auth/token", data=form) as answer:
            return str((await answer.json())["access_token"]) if answer.status == 200 else None
