"""One bench, from an empty folder to the verdict: start, prepare, load after load beside the baseline, verify, start
again.

The baseline is measured right after the purchases of as many clients, so that a machine that is slow for a while is
slow for both.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from cartwright.bench import machine, memory
from cartwright.bench.baseline import Baseline, running_baseline
from cartwright.bench.costs import CALL_S_MAX, Meters
from cartwright.bench.figures import Outcome
from cartwright.bench.memory import Memory
from cartwright.bench.own_system import folder, own_system, start_again_s
from cartwright.bench.preparation import PRODUCTS
from cartwright.bench.report import Report, make_report
from cartwright.bench.requests import PURCHASES
from cartwright.bench.results import LoadResult, Starts
from cartwright.bench.runner import Runner, reader_urls, running_loads
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.system import System
from cartwright.verifier.reads import Report as Verification
from cartwright.verifier.reads import verify

DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
VERIFY_WAIT_S = 60.0


@dataclass(frozen=True)
class Plan:
    """`kinds` of loads at each number of `clients`, each for `seconds`."""

    kinds: tuple[str, ...]
    clients: tuple[int, ...]
    seconds: float
    replicas: int = 1
    with_baseline: bool = True


def run(plan: Plan, say: Callable[[str], None]) -> Report:
    """Leaves nothing behind. Raises CannotGoOn, and what PostgreSQL and the system raise, when it cannot be done."""
    described = machine.describe()
    with contextlib.ExitStack() as stack:
        will = stack.enter_context(Reaper())
        baseline = None
        if plan.with_baseline:
            say("Making the baseline's tables.")
            place = stack.enter_context(folder(will, for_postgres=True))
            baseline = stack.enter_context(running_baseline(place, secrets.token_urlsafe(12), will, PRODUCTS))
        say("Starting a system of its own.")
        scratch, cold_s = stack.enter_context(own_system(will, plan.replicas))
        found = asyncio.run(_measure(plan, scratch.opened(), baseline, say))
        say("Starting it again, on all these data.")
        warm_s = start_again_s(scratch)
    return make_report(
        machine=described,
        replicas=plan.replicas,
        durability=found.durability,
        idle_cpu_ms=found.idle_cpu_ms,
        loads=found.loads,
        baseline=found.baseline,
        memory=found.memory,
        starts=Starts(cold=cold_s, warm=warm_s),
        verification=found.verification,
    )


@dataclass(frozen=True)
class _Found:
    durability: dict[str, str]
    idle_cpu_ms: dict[str, float]
    loads: list[LoadResult]
    baseline: list[Outcome]
    memory: Memory
    verification: Verification


async def _measure(plan: Plan, system: System, baseline: Baseline | None, say: Callable[[str], None]) -> _Found:
    say(f"Filling the shop with {PRODUCTS:,} products.")
    async with running_loads(system, plan.seconds) as measurer:
        say("Nobody asks for anything.")
        idle_cpu_ms = await measurer.idle()
        loads, yards = await _all_loads(plan, measurer, baseline, say)
    held = memory.read(Meters(system))
    say("Checking every promise on the data.")
    verification = await verify(reader_urls(system), head_keys=system.head_keys, wait_s=VERIFY_WAIT_S)
    return _Found(await _durability(system), idle_cpu_ms, loads, yards, held, verification)


async def _all_loads(
    plan: Plan, measurer: Runner, baseline: Baseline | None, say: Callable[[str], None]
) -> tuple[list[LoadResult], list[Outcome]]:
    loads, yards = [], []
    for kind in plan.kinds:
        for clients in plan.clients:
            say(f"{kind}, {_clients(clients)}")
            loads.append(await measurer.load(kind, clients))
            if baseline is not None and kind == PURCHASES:
                say(f"pgbench, {_clients(clients)}")
                yards.append(await asyncio.to_thread(baseline.measure, clients, plan.seconds))
    return loads, yards


async def _durability(system: System) -> dict[str, str]:
    connection = await asyncpg.connect(system.superuser_url, timeout=CALL_S_MAX)
    try:
        return {name: await connection.fetchval("SELECT current_setting($1)", name) for name in DURABILITY}
    finally:
        await connection.close(timeout=CALL_S_MAX)


def _clients(number: int) -> str:
    return "1 client" if number == 1 else f"{number} clients"
