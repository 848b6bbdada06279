"""Brings each fault about, and ends it: on the processes, on the ways between them, and on what the broker holds."""

import asyncio
import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psutil

from cartwright.chaos import redelivery
from cartwright.chaos.forgery import Forgeries
from cartwright.chaos.schedule import Fault
from cartwright.launcher import operator_calls, postgres, supervisor
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.parts import all_parts
from cartwright.launcher.postgres_logins import service_login
from cartwright.launcher.system import System
from cartwright.testkit.proxy import Proxy

CONNECT_S_MAX = 5.0
STOP_S_MAX = 20.0
REPLAY_S_MAX = 90.0
POLL_S = 0.1
LIMIT_S_MAX = 5

# What an operator has published again after a loss: it has to reach back further than any listener is behind.
REPLAYED_BEFORE = timedelta(seconds=180)

_LATEST_BACKEND = """
    SELECT pid
    FROM pg_stat_activity
    WHERE datname = $1 AND usename = $2
    ORDER BY query_start DESC
    LIMIT 1
"""


class Faults:
    """`inject` returns when the fault is over and what had to be mended by hand is mended."""

    def __init__(self, system: System, links: Mapping[str, Proxy], seed: int, forgeries: Forgeries) -> None:
        self._system = system
        self._links = links
        self._seed = seed
        self._forgeries = forgeries
        self._frozen: set[psutil.Process] = set()
        self._store_of_broker = asyncio.Lock()
        self._parts = {part.name: part for part in all_parts(system)}
        self._injectors: Mapping[str, Callable[[Fault], Awaitable[str]]] = {
            "kill": self._kill,
            "kill a backend of": self._kill_backend,
            "freeze": self._freeze,
            "cut": self._break_link,
            "hang": self._break_link,
            "slow": self._break_link,
            "redelivered events of": self._redeliver,
            "forged events of": self._forge,
            "fill the disk of": self._fill_disk,
            "lose the store of": self._lose_store,
            "set back the store of": self._set_back_store,
        }

    async def inject(self, fault: Fault) -> str:
        """Answers a note where something came differently than planned."""
        return await self._injectors[fault.kind](fault)

    def heal(self) -> None:
        """Whatever is still broken because a fault was interrupted."""
        for process in self._frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        for link in self._links.values():
            link.flow()

    # --- Processes

    async def _process(self, part: str) -> psutil.Process | None:
        """None while it is being started again."""
        states = await asyncio.to_thread(supervisor.part_states, self._system)
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(states[part].pid) if states[part].pid else None
        return None

    async def _kill(self, fault: Fault) -> str:
        process = await self._process(fault.target)
        if process is None:
            return "it was down already"
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        return ""

    async def _kill_backend(self, fault: Fault) -> str:
        try:
            connection = await asyncpg.connect(self._system.superuser_url, timeout=CONNECT_S_MAX)
        except (OSError, asyncpg.PostgresError):
            return "postgres was down already"
        try:
            pid = await connection.fetchval(_LATEST_BACKEND, fault.target, service_login(fault.target))
        finally:
            connection.terminate()
        with contextlib.suppress(psutil.NoSuchProcess):
            if pid is not None:
                psutil.Process(pid).kill()
        return "" if pid is not None else "nobody was connected"

    async def _freeze(self, fault: Fault) -> str:
        process = await self._process(fault.target)
        if process is None:
            return "it was down already"
        frozen = _family(process)
        with self._noted(frozen):
            for each in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.suspend()
            try:
                await asyncio.sleep(fault.lasts_s)
            finally:
                for each in frozen:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.resume()
        return ""

    @contextlib.contextmanager
    def _noted(self, frozen: list[psutil.Process]) -> Iterator[None]:
        self._frozen.update(frozen)
        yield
        self._frozen.difference_update(frozen)

    async def _fill_disk(self, fault: Fault) -> str:
        """Every write to a file fails for a while, by the limit on the size of files: EFBIG where it would be ENOSPC.

        A small file system to be filled needs privileges; this needs none, and it hits the same lines of code.
        Processes that are started meanwhile inherit the limit.
        """
        process = await self._process(fault.target)
        if process is None:
            return "it was down already"
        user = self._parts[fault.target].user
        if not await asyncio.to_thread(_limit_files, _family(process), "0", user):
            return "its files cannot be limited here"
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            await asyncio.shield(asyncio.to_thread(_limit_files, _family(process), "unlimited", user))
        if fault.target == "nats":
            await self._restart_broker()
        return ""

    async def _restart_broker(self) -> None:
        """What the operator does who has made space: after a failed write a stream takes nothing until a restart."""
        async with self._store_of_broker, self._stopped_broker():
            pass

    # --- FaultyNetwork

    async def _break_link(self, fault: Fault) -> str:
        link = self._links[fault.target]
        match fault.kind:
            case "cut":
                link.cut()
            case "hang":
                link.hang()
            case _:
                link.slow(fault.delay_s)
        try:
            await asyncio.sleep(fault.lasts_s)
        finally:
            link.flow()
        return ""

    # --- What the broker holds

    async def _redeliver(self, fault: Fault) -> str:
        return await redelivery.redeliver(self._system, fault.target, self._draw(fault))

    async def _forge(self, fault: Fault) -> str:
        return await self._forgeries.publish(fault.target, self._draw(fault))

    def _draw(self, fault: Fault) -> random.Random:
        return random.Random(f"{self._seed} {fault.number}")  # noqa: S311 - to be repeated, not to be secret.

    async def _lose_store(self, _: Fault) -> str:
        async with self._store_of_broker, self._stopped_broker():
            shutil.rmtree(self._store)
        return await self._replay()

    async def _set_back_store(self, fault: Fault) -> str:
        older = self._store.with_name("older")
        async with self._store_of_broker:
            async with self._stopped_broker():
                shutil.rmtree(older, ignore_errors=True)
                shutil.copytree(self._store, older)
            await asyncio.sleep(fault.lasts_s)
            async with self._stopped_broker():
                shutil.rmtree(self._store)
                older.rename(self._store)
        return await self._replay()

    @property
    def _store(self) -> Path:
        return self._system.layout.nats / "jetstream"

    @contextlib.asynccontextmanager
    async def _stopped_broker(self) -> AsyncIterator[None]:
        await asyncio.to_thread(supervisor.stop_part, self._system, self._parts["nats"])
        deadline = time.monotonic() + STOP_S_MAX
        while await self._process("nats") is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - supervisor's.
            await asyncio.sleep(POLL_S)
        try:
            yield
        finally:
            await asyncio.to_thread(supervisor.start_part, self._system, self._parts["nats"])

    async def _replay(self) -> str:
        """What the operator does then. Services that are away are asked again."""
        since = datetime.now(UTC) - REPLAYED_BEFORE
        deadline = time.monotonic() + REPLAY_S_MAX
        while True:
            try:
                await asyncio.to_thread(
                    operator_calls.replay_events, self._system.layout.data, since, "The broker lost its store."
                )
                return ""
            except CannotGoOn as error:
                if time.monotonic() > deadline:
                    return f"the events could not be published again: {error}"
            await asyncio.sleep(1.0)


def _family(process: psutil.Process) -> list[psutil.Process]:
    """The process first, so that it cannot start others while these are dealt with."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return [process]


def _limit_files(processes: list[psutil.Process], bytes_max: str, user: str | None) -> bool:
    """Sets how long a file may become; answers whether it could for the first of the processes.

    By `prlimit` of util-linux, run as who owns the processes: even root may not do this to others everywhere.
    """
    with contextlib.suppress(OSError):
        done = [
            subprocess.run(
                ["prlimit", "--pid", str(process.pid), f"--fsize={bytes_max}:unlimited"],
                user=user,
                group=None if user is None else postgres.server_group(user),
                extra_groups=None if user is None else [],
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=LIMIT_S_MAX,
            ).returncode
            for process in processes
            if process.is_running()
        ]
        return bool(done) and done[0] == 0
    return False
