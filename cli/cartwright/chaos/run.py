"""One run, from an empty folder to the verdicts: start, traffic, faults, heal, wait until quiet, judge."""

import asyncio
import contextlib
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from cartwright.chaos import schedule as schedules
from cartwright.chaos.clients import GatewayClient
from cartwright.chaos.faults import Faults
from cartwright.chaos.forgery import Forgeries
from cartwright.chaos.history import HistoryWriter, InjectedFault
from cartwright.chaos.network_faults import CLIENTS, GATEWAY, FaultyNetwork, names
from cartwright.chaos.outcome import Outcome
from cartwright.chaos.schedule import Fault, Targets
from cartwright.chaos.traffic import Health, Traffic, open_shop
from cartwright.chaos.verdicts import check_history
from cartwright.launcher import listening
from cartwright.launcher.launch import launch
from cartwright.launcher.layout import LOOPBACK, PUBLISHERS, SERVICES, SERVICES_WITH_DATABASE, Ports, part_name
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.stop import erase_data, stop, stop_at_once
from cartwright.launcher.system import System, make_data_folder, make_system
from cartwright.launcher.watch import read_once, wait_until_ready

REPLICAS = 2
# Below the ports that the kernel hands out to clients.
PORTS_FROM, PORTS_TO = 20_000, 30_000
QUIET_S_MAX = 60.0
RECORD = "record.jsonl"


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    seed: int
    minutes: float
    faults: int

    @property
    def seconds(self) -> float:
        return self.minutes * 60


@dataclass
class Progress:
    """What is going on, for those who watch."""

    step: str = "starting the system"
    at_s: float = 0.0
    faults_over: int = 0
    latest: str = ""
    health: Health | None = None


Watch = Callable[[Progress], None]


def targets(ports: Ports) -> Targets:
    replicas = [part_name(name, replica) for name in SERVICES for replica in range(1, ports.replicas + 1)]
    return Targets(replicas, SERVICES_WITH_DATABASE, PUBLISHERS, names(ports))


def planned(plan: Plan) -> list[Fault]:
    """The schedule of a run: a matter of its plan alone."""
    return schedules.schedule(plan.seed, plan.seconds, plan.faults, targets(Ports(replicas=REPLICAS)))


async def run(plan: Plan, folder: Path, watch: Watch, *, keep: bool) -> Outcome:
    """Runs in `folder`, which is erased afterwards unless `keep`; a record that shows a violation stays there."""
    progress = Progress()
    watch(progress)
    outcome: Outcome | None = None
    with Reaper() as reaper:
        if not keep:
            reaper.remove_folder(folder)
        system = _make(folder / "data")
        async with FaultyNetwork(system.ports) as links:
            system = replace(system, proxy_ports=links.proxy_ports)
            async with _started(system, reaper, keep=keep):
                outcome = await _break_and_check(plan, system, links, folder / RECORD, progress, watch)
        if keep or not outcome.holds:
            kept = folder if keep else _saved(folder)
            outcome = msgspec.structs.replace(outcome, record=str(kept / RECORD))
    return outcome


def _saved(folder: Path) -> Path:
    """The record moved out of a folder that is removed."""
    kept = folder.with_name(f"{folder.name}-record")
    kept.mkdir(mode=0o700)
    shutil.move(folder / RECORD, kept / RECORD)
    return kept


def _make(data: Path) -> System:
    start = random.SystemRandom().randrange(PORTS_FROM, PORTS_TO, listening.STEP_BETWEEN_SYSTEMS)
    ports = listening.free_base(start, REPLICAS)
    return make_system(make_data_folder(data), ports, rate_limit=None, replicas=REPLICAS)


@contextlib.asynccontextmanager
async def _started(system: System, reaper: Reaper, *, keep: bool) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "cartwright", "down", "--erase", "--data", str(system.layout.data)]
    if not keep:
        reaper.run_command(command, while_exists=system.layout.data)
    launching = asyncio.ensure_future(asyncio.to_thread(launch, system, lambda _: None))
    try:
        await asyncio.shield(launching)
        await wait_until_ready(system, lambda _: None)
        yield
    finally:
        # A thread cannot be interrupted, and must not start anything after the end.
        await asyncio.wait([launching])
        # Its data is thrown away, and what is frozen would not end in order.
        await asyncio.shield(asyncio.to_thread(stop if keep else stop_at_once, system))
        if not keep:
            await asyncio.shield(asyncio.to_thread(erase_data, system))


async def _break_and_check(
    plan: Plan, system: System, links: FaultyNetwork, record: Path, progress: Progress, watch: Watch
) -> Outcome:
    health = progress.health = Health()
    forgeries = Forgeries(system, plan.seed)
    faults = Faults(system, links.by_name, plan.seed, forgeries)
    with HistoryWriter(record, health.note) as recorder:
        async with GatewayClient(f"http://{LOOPBACK}:{links.proxy_ports[CLIENTS, GATEWAY]}/api", recorder) as line:
            shop = await open_shop(system, line)
            traffic = Traffic(shop, plan.seed)
            line.begin()
            began = time.monotonic()
            traffic.start()
            injecting = _Injecting(faults, recorder, health, line.now_s)
            try:
                progress.step = "breaking it"
                for fault in planned(plan):
                    await _until(began + fault.at_s, progress, watch, traffic, began)
                    injecting.start(fault)
                    progress.latest, progress.faults_over = fault.says, fault.number
                await _until(began + plan.seconds, progress, watch, traffic, began)
                progress.step = "healing"
                watch(progress)
                await injecting.finish()
                healed = time.monotonic()
                await _until_recovered(health)
                await traffic.settle()
            finally:
                await injecting.stop()
                faults.heal()
                await traffic.stop()
            traffic_s = healed - began
            progress.step = "waiting until it is quiet, and judging"
            watch(progress)
            unready = await _parts_not_ready(system, healed + QUIET_S_MAX)
            if not unready:
                await forgeries.publish_and_count()
            recorder.flush()
            wait_s = max(healed + QUIET_S_MAX - time.monotonic(), 1.0)
            verdicts = await check_history(system, line, shop, traffic.revocations, forgeries, record, wait_s, unready)
    return Outcome.of(plan.seed, plan.minutes, plan.faults, traffic_s, injecting.all, health, verdicts)


async def _parts_not_ready(system: System, deadline: float) -> list[str]:
    """The parts that do not come back, though nothing hinders them any more."""
    while True:
        waiting = [view.name for view in await read_once(system) if view.state != "ready"]
        if not waiting or time.monotonic() > deadline:
            return waiting
        await asyncio.sleep(0.25)


class _Injecting:
    """The faults under way, each a task of its own: they may overlap."""

    def __init__(self, faults: Faults, recorder: HistoryWriter, health: Health, now_s: Callable[[], float]) -> None:
        self._faults = faults
        self._recorder = recorder
        self._health = health
        self._now_s = now_s
        self._tasks: list[asyncio.Task[None]] = []
        self.all: list[InjectedFault] = []

    def start(self, fault: Fault) -> None:
        self._tasks.append(asyncio.create_task(self._inject(fault)))

    async def _inject(self, fault: Fault) -> None:
        began_s = self._now_s()
        note = await self._faults.inject(fault)
        injected = InjectedFault(fault=fault, began_s=began_s, ended_s=self._now_s(), note=note)
        self._health.fault_ended(fault.number, injected.ended_s)
        self._recorder.write(injected)
        self.all.append(injected)

    async def finish(self) -> None:
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _until(at: float, progress: Progress, watch: Watch, traffic: Traffic, began: float) -> None:
    while (left_s := at - time.monotonic()) > 0:
        progress.at_s = time.monotonic() - began
        watch(progress)
        traffic.fail_if_broken()
        await asyncio.sleep(min(left_s, 0.25))


async def _until_recovered(health: Health) -> None:
    """The pulse goes on until it beats again, so that the last fault's time is known, too."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(health.recovered(), QUIET_S_MAX / 2)
