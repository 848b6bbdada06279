"""One bench, from an empty folder to the verdict: start, prepare, load after load beside the yardstick, verify, start
again.

Each load runs until its last event is consumed before the next begins, and what it cost is counted up to there. The
yardstick is measured right after the purchases of as many clients, so that a machine that is slow for a while is slow
for both.
"""

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import asyncpg
import msgspec

from cartwright.bench import batches, costs, lag, load, machine, memory
from cartwright.bench.costs import Meters
from cartwright.bench.figures import Outcome
from cartwright.bench.load import Load
from cartwright.bench.measured import Measured, Starts
from cartwright.bench.memory import Memory
from cartwright.bench.preparation import PRODUCTS, prepare_shop, sign_in_again
from cartwright.bench.report import Report, make_report
from cartwright.bench.requests import PURCHASES, Shop
from cartwright.bench.yardstick import Yardstick, running_yardstick
from cartwright.embedded import postgres
from cartwright.embedded.last_will import LastWill
from cartwright.embedded.layout import LOOPBACK, SERVICES_WITH_DATABASE
from cartwright.embedded.scratch_system import ScratchSystem, running_system
from cartwright.embedded.system import System
from cartwright.verify.books import Books, open_books
from cartwright.verify.looks import Report as Verification
from cartwright.verify.looks import verify

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
TOKENS_GOOD_FOR_S = 600.0
VERIFY_WAIT_S = 60.0
# Not /tmp, which is memory on many machines: what is measured has to reach a disk.
SCRATCH = Path("/var/tmp")  # noqa: S108 - a folder of a random name is made in it, for us alone.


@dataclass(frozen=True)
class Plan:
    """`kinds` of loads at each number of `clients`, each for `seconds`."""

    kinds: tuple[str, ...]
    clients: tuple[int, ...]
    seconds: float
    replicas: int = 1
    with_yardstick: bool = True
    with_warm_start: bool = True


def run(plan: Plan, say: Callable[[str], None]) -> Report:
    """Leaves nothing behind. Raises CannotGoOn, and what PostgreSQL and the system raise, when it cannot be done."""
    described = machine.describe()
    with contextlib.ExitStack() as stack:
        will = stack.enter_context(LastWill())
        yardstick = None
        if plan.with_yardstick:
            say("Making the yardstick's tables.")
            folder = stack.enter_context(_folder(will, for_postgres=True))
            yardstick = stack.enter_context(running_yardstick(folder, secrets.token_urlsafe(12), will, PRODUCTS))
        data = stack.enter_context(_folder(will)) / "data"
        say("Starting a system of its own.")
        began_at = perf_counter()
        scratch = stack.enter_context(running_system(data, will, plan.replicas))
        cold_s = perf_counter() - began_at
        system = scratch.opened()
        findings = asyncio.run(_Bench(plan, system, yardstick, say).measure())
        warm_s = None
        if plan.with_warm_start:
            say("Starting it again, on all these data.")
            warm_s = _start_again_s(scratch)
    return make_report(
        machine=described,
        replicas=plan.replicas,
        durability=findings.durability,
        loads=findings.loads,
        yardstick=findings.yardstick,
        memory=findings.memory,
        starts=Starts(cold=round(cold_s, 2), warm=warm_s),
        verification=findings.verification,
    )


def _start_again_s(scratch: ScratchSystem) -> float:
    scratch.stop()
    began_at = perf_counter()
    scratch.start()
    return round(perf_counter() - began_at, 2)


@contextlib.contextmanager
def _folder(will: LastWill, *, for_postgres: bool = False) -> Iterator[Path]:
    """On a disk, and where PostgreSQL's user reaches it when that is somebody else."""
    is_others = for_postgres and postgres.server_user() is not None
    if is_others:
        postgres.make_reachable(postgres.ROOT_HOME)
    with tempfile.TemporaryDirectory(
        prefix="cartwright-bench-", dir=postgres.ROOT_HOME if is_others else SCRATCH, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755 if is_others else 0o700)
        will.remove_folder(folder)
        yield folder


@dataclass(frozen=True)
class _Findings:
    loads: list[Measured]
    yardstick: list[Outcome]
    memory: Memory
    durability: dict[str, str]
    verification: Verification


@dataclass
class _Bench:
    plan: Plan
    system: System
    yardstick: Yardstick | None
    say: Callable[[str], None]

    async def measure(self) -> "_Findings":
        self.say(f"Filling the shop with {PRODUCTS:,} products.")
        self._shop = await prepare_shop(self.system)
        self._signed_in_at = perf_counter()
        urls = {service: self.system.reader_url(service) for service in SERVICES_WITH_DATABASE}
        async with open_books(urls) as books:
            await lag.wait_out(self.system, books)
            loads, yards = await self._all_loads(books)
        held = memory.read(Meters(self.system))
        self.say("Checking every promise on the data.")
        return _Findings(loads, yards, held, await self._durability(), await verify(urls, wait_s=VERIFY_WAIT_S))

    async def _all_loads(self, books: Books) -> tuple[list[Measured], list[Outcome]]:
        loads, yards = [], []
        for kind in self.plan.kinds:
            for clients in self.plan.clients:
                self.say(f"{kind.capitalize()}, {_clients(clients)}.")
                loads.append(await self._load(kind, clients, books))
                if self.yardstick is not None and kind == PURCHASES:
                    self.say(f"pgbench, {_clients(clients)}.")
                    yards.append(await asyncio.to_thread(self.yardstick.measure, clients, self.plan.seconds))
        return loads, yards

    async def _load(self, kind: str, clients: int, books: Books) -> Measured:
        meters = Meters(self.system)
        shop = await self._shop_with_good_tokens()
        before, batches_before = await meters.read(), await batches.read(self.system)
        wanted = Load(
            kind=kind,
            host=LOOPBACK,
            port=self.system.ports.gateway,
            shop=shop,
            clients=clients,
            seconds=self.plan.seconds,
        )
        came = await asyncio.to_thread(load.run, wanted)
        behind = await lag.wait_out(self.system, books)
        after, batches_after = await meters.read(), await batches.read(self.system)
        return Measured(
            kind=kind,
            outcome=came.outcome,
            load_generator_cpu_ms=came.cpu_ms_per_request,
            costs=costs.costs_of(before, after, came.outcome.accepted),
            batches=batches.mean_sizes(batches_before, batches_after),
            lag=behind,
        )

    async def _shop_with_good_tokens(self) -> Shop:
        if perf_counter() - self._signed_in_at > TOKENS_GOOD_FOR_S:
            self._shop = msgspec.structs.replace(self._shop, tokens=await sign_in_again(self.system, self._shop))
            self._signed_in_at = perf_counter()
        return self._shop

    async def _durability(self) -> dict[str, str]:
        connection = await asyncpg.connect(self.system.superuser_url, timeout=costs.CALL_S_MAX)
        try:
            return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in DURABILITY}
        finally:
            await connection.close(timeout=costs.CALL_S_MAX)


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"
