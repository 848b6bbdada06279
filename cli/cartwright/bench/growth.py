"""How the cost of a purchase, of the history's first page, of a search and of `verify` grows: with the orders and the
products that there are already, with the lines of an order, with a second replica.
"""

import asyncio
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import aiohttp
import msgspec

from cartwright.bench import machine
from cartwright.bench.copies import Copies
from cartwright.bench.figures import Outcome
from cartwright.bench.many_orders import copy_orders
from cartwright.bench.many_products import add_products
from cartwright.bench.own_system import own_system
from cartwright.bench.requests import HISTORY, PURCHASES, SEARCHES
from cartwright.bench.results import LoadResult, Machine
from cartwright.bench.runner import Runner, running_loads
from cartwright.launcher import supervisor
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import LOOPBACK, part_name
from cartwright.launcher.parts import all_parts
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.system import System
from cartwright.launcher.watch import wait_until_ready
from cartwright.testkit.system import SystemUnderTest

CALL_S_MAX = 60.0


@dataclass(frozen=True)
class GrowthPlan:
    """What grows, one thing after the other: `orders` and `products` in the tables, `lines` of an order, `replicas`."""

    orders: tuple[int, ...]
    products: tuple[int, ...]
    lines: tuple[int, ...]
    replicas: tuple[int, ...]
    clients: int
    seconds: float


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """`cartwright verify`, in a process of its own."""

    holds: bool
    seconds: float
    memory_mib: float


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """`orders` and `products` are those that were there when it began."""

    orders: int
    products: int
    lines: int
    replicas: int
    purchases: LoadResult
    history: Outcome
    searches: Outcome
    verified: Verified | None
    """Only where the number of orders has changed, and in the end: it reads all of them."""


class GrowthReport(msgspec.Struct, frozen=True, kw_only=True):
    machine: Machine
    stages: list[Stage]

    @property
    def holds(self) -> bool:
        return all(stage.verified.holds for stage in self.stages if stage.verified is not None)


def grow(plan: GrowthPlan, say: Callable[[str], None]) -> GrowthReport:
    """Leaves nothing behind. Raises CannotGoOn, and what PostgreSQL and the system raise, when it cannot be done."""
    described = machine.describe()
    stages: list[Stage] = []
    with Reaper() as will:
        for replicas in plan.replicas:
            say(f"Starting a system of its own, {replicas} of each service.")
            with own_system(will, replicas) as (scratch, _):
                is_first = replicas == plan.replicas[0]
                stages += asyncio.run(_grow(plan, scratch, say, in_all=is_first))
    return GrowthReport(machine=described, stages=stages)


async def _grow(plan: GrowthPlan, scratch: SystemUnderTest, say: Callable[[str], None], *, in_all: bool) -> list[Stage]:
    system = scratch.opened()
    async with running_loads(system, plan.seconds) as measurer:
        growing = _Growing(plan, scratch, measurer, say)
        stages = [await growing.stage()]
        if in_all:
            for orders in plan.orders:
                await growing.add_orders(orders)
                stages.append(await growing.stage())
            for products in plan.products:
                await growing.add_products(products)
                stages.append(await growing.stage(with_verify=False))
            for lines in plan.lines:
                growing.set_lines(lines)
                stages.append(await growing.stage(with_verify=False))
            if stages[-1].verified is None:
                stages[-1] = msgspec.structs.replace(stages[-1], verified=await growing.verify())
        return stages


class _Growing:
    def __init__(
        self, plan: GrowthPlan, scratch: SystemUnderTest, measurer: Runner, say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._scratch = scratch
        self._measurer = measurer
        self._system = measurer.system
        self._say = say
        self._copied = 0
        self._bought = 0
        self._originals: list[str] = []
        self._first_ms = 0

    async def stage(self, *, with_verify: bool = True) -> Stage:
        shop, orders = self._measurer.shop, self._copied + self._bought
        self._say(f"With {orders:,} orders, {len(shop.products):,} products, {shop.lines} lines an order.")
        purchases = await self._measurer.load(PURCHASES, self._plan.clients)
        self._bought += purchases.outcome.accepted
        return Stage(
            orders=orders,
            products=len(shop.products),
            lines=shop.lines,
            replicas=len(self._system.replicas),
            purchases=purchases,
            history=(await self._measurer.load(HISTORY, self._plan.clients)).outcome,
            searches=(await self._measurer.load(SEARCHES, self._plan.clients)).outcome,
            verified=await self.verify() if with_verify else None,
        )

    async def verify(self) -> Verified:
        return await asyncio.to_thread(_verify, self._scratch)

    async def add_orders(self, wanted: int) -> None:
        """Up to so many copies in all."""
        if not self._originals:
            self._originals = await _buy(self._system, self._measurer)
            await self._measurer.wait_out()
            # Before whatever was placed in earnest, a millisecond from one to the next.
            self._first_ms = int(time.time() * 1000) - 24 * 3600 * 1000
        self._say(f"Copying orders until there are {wanted:,}.")
        audits = [
            part
            for part in all_parts(self._system)
            if part.name in {part_name("audit", replica) for replica in self._system.replicas}
        ]
        for audit in audits:
            await asyncio.to_thread(supervisor.stop_part, self._system, audit)
        copies = Copies(self._copied, wanted - self._copied, self._first_ms)
        await copy_orders(self._system, self._originals, copies)
        self._copied = wanted
        for audit in audits:
            await asyncio.to_thread(supervisor.start_part, self._system, audit)
        await wait_until_ready(self._system, lambda _: None)
        await self._measurer.wait_out()

    async def add_products(self, wanted: int) -> None:
        shop = self._measurer.shop
        self._say(f"Adding products until there are {wanted:,}.")
        # One more is the product that all want.
        added = await add_products(self._system, len(shop.products) + 1, wanted + 1)
        self._measurer.shop = msgspec.structs.replace(shop, products=[*shop.products, *added])

    def set_lines(self, lines: int) -> None:
        self._measurer.shop = msgspec.structs.replace(self._measurer.shop, lines=lines)


async def _buy(system: System, measurer: Runner) -> list[str]:
    """One order of each buyer, each of another product: the originals of all copies."""
    shop = measurer.shop
    orders: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S_MAX)) as http:
        for token, product in zip(shop.tokens, shop.products, strict=False):
            async with http.post(
                f"http://{LOOPBACK}:{system.ports.gateway}/api/orders",
                json={"items": [{"product_id": product, "quantity": 1}]},
                headers={"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())},
            ) as answer:
                content = await answer.json()
                if answer.status not in {201, 202}:
                    raise CannotGoOn(f"An order was answered {answer.status}: {content}")
                orders.append(content["id"])
    return orders


def _verify(scratch: SystemUnderTest) -> Verified:
    began_at = perf_counter()
    process = subprocess.Popen(
        [*scratch.command_line("verify", "--json")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 1}:
        raise CannotGoOn("The promises could not be checked.")
    return Verified(
        holds=process.returncode == 0,
        seconds=round(perf_counter() - began_at, 2),
        # In KiB on Linux.
        memory_mib=round(used.ru_maxrss / 1024, 1),
    )
