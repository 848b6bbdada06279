"""Measures load after load on one system. Each goes on until its last event is consumed, and what it cost is counted up
to there; then the next begins.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import msgspec

from cartwright.bench import batches, lag, load
from cartwright.bench.costs import Meters, Reading, costs_of
from cartwright.bench.load import Load
from cartwright.bench.preparation import prepare_shop, sign_in_again
from cartwright.bench.requests import Shop
from cartwright.bench.results import LoadResult
from cartwright.launcher.layout import LOOPBACK, SERVICES_WITH_DATABASE
from cartwright.launcher.system import System
from cartwright.verifier.snapshots import Snapshots, open_snapshots

TOKENS_GOOD_FOR_S = 600.0


class Runner:
    """`shop` may be replaced by one with other goods."""

    def __init__(self, system: System, snapshots: Snapshots, shop: Shop, seconds: float) -> None:
        self.system = system
        self.shop = shop
        self._books = snapshots
        self._seconds = seconds
        self._meters = Meters(system)
        self._signed_in_at = perf_counter()

    async def load(self, kind: str, clients: int) -> LoadResult:
        await self._keep_signed_in()
        before, batches_before = await self._meters.read(), await batches.read(self.system)
        wanted = Load(
            kind=kind,
            host=LOOPBACK,
            port=self.system.ports.gateway,
            shop=self.shop,
            clients=clients,
            seconds=self._seconds,
        )
        came = await asyncio.to_thread(load.run, wanted)
        behind = await self.wait_out()
        after, batches_after = await self._meters.read(), await batches.read(self.system)
        return LoadResult(
            kind=kind,
            outcome=came.outcome,
            load_generator_cpu_ms=came.cpu_ms_per_request,
            others=came.others,
            costs=costs_of(before, after, came.outcome.accepted),
            batches=batches.mean_sizes(batches_before, batches_after),
            lag=behind,
        )

    async def idle(self) -> dict[str, float]:
        """CPU by part that a second of rest takes, in milliseconds."""
        before: Reading = await self._meters.read()
        began_at = perf_counter()
        await asyncio.sleep(self._seconds)
        after = await self._meters.read()
        return {
            name: round(ms / (perf_counter() - began_at), 2) for name, ms in costs_of(before, after, 1).cpu_ms.items()
        }

    async def wait_out(self) -> lag.Lag:
        return await lag.wait_out(self.system, self._books)

    async def _keep_signed_in(self) -> None:
        """A token is good for a quarter of an hour, and a long bench takes longer."""
        if perf_counter() - self._signed_in_at > TOKENS_GOOD_FOR_S:
            self.shop = msgspec.structs.replace(self.shop, tokens=await sign_in_again(self.system, self.shop))
            self._signed_in_at = perf_counter()


@asynccontextmanager
async def running_loads(system: System, seconds: float) -> AsyncIterator[Runner]:
    """On a system whose shop is filled, and that has come to rest again."""
    shop = await prepare_shop(system)
    async with open_snapshots(reader_urls(system)) as snapshots:
        measurer = Runner(system, snapshots, shop, seconds)
        await measurer.wait_out()
        yield measurer


def reader_urls(system: System) -> dict[str, str]:
    return {service: system.reader_url(service) for service in SERVICES_WITH_DATABASE}
