"""What a load cost: CPU by process, commits and write-ahead log, from the kernel and from PostgreSQL.

PostgreSQL's processes end and begin; what an ended one used is in its parent's account, so no CPU is lost.
"""

import contextlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg
import msgspec
import psutil

from cartwright.launcher import processes, supervisor
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.system import System

CALL_S_MAX = 30.0
POSTGRES = "postgres: "


@dataclass(frozen=True)
class Reading:
    """The meters at one moment. CPU in seconds since each process began, by what it does."""

    cpu_s: Mapping[str, float]
    commits: Mapping[str, int]
    wal_bytes: int


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one order (or sign-in, or whatever was asked for), of all that it led to until the system was quiet."""

    cpu_ms: dict[str, float]
    """By part."""
    postgres_cpu_ms: dict[str, float]
    """PostgreSQL's part of it by what its processes did: those of a database by its name, `walwriter`, and so on."""
    cpu_ms_total: float
    commits: dict[str, float]
    commits_total: float
    wal_bytes: float


@dataclass
class Meters:
    """Of one system that runs; parts are found again at each reading, since they may have been started anew."""

    system: System
    _parts: Mapping[str, int] = field(default_factory=dict)

    async def read(self) -> Reading:
        commits, wal_bytes = await self._ask_postgres()
        return Reading(self._cpu_s(), commits, wal_bytes)

    def part_processes(self) -> dict[str, psutil.Process]:
        """The process of each part by its name; supervisor, which carries their logs, too."""
        found = {}
        for name, state in supervisor.part_states(self.system).items():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[name] = psutil.Process(state.pid)
        watching = processes.find(self.system.layout.data).supervisor
        return found | ({"supervisor": watching} if watching else {})

    def _cpu_s(self) -> dict[str, float]:
        used: defaultdict[str, float] = defaultdict(float)
        for name, process in self.part_processes().items():
            times = process.cpu_times()
            if name == "postgres":
                used[f"{POSTGRES}postmaster"] += times.user + times.system
                used[f"{POSTGRES}ended"] += times.children_user + times.children_system
                for role, seconds in _postgres_children_s(process).items():
                    used[role] += seconds
            else:
                used[name] += times.user + times.system
                if name != "supervisor":
                    used[name] += times.children_user + times.children_system
        return dict(used)

    async def _ask_postgres(self) -> tuple[dict[str, int], int]:
        connection = await asyncpg.connect(self.system.superuser_url, timeout=CALL_S_MAX, command_timeout=CALL_S_MAX)
        try:
            rows = await connection.fetch("SELECT datname, xact_commit FROM pg_stat_database WHERE datname IS NOT NULL")
            wal_bytes = await connection.fetchval("SELECT (pg_current_wal_lsn() - '0/0')::bigint")
        finally:
            await connection.close(timeout=CALL_S_MAX)
        return {row["datname"]: row["xact_commit"] for row in rows}, int(wal_bytes)


def _postgres_children_s(postmaster: psutil.Process) -> dict[str, float]:
    used: defaultdict[str, float] = defaultdict(float)
    for child in postmaster.children():
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            times = child.cpu_times()
            used[_postgres_role(" ".join(child.cmdline()))] += times.user + times.system
    return used


def _postgres_role(title: str) -> str:
    """`postgres: orders orders 127.0.0.1(4711) idle` works for a database, `postgres: io worker 1` for the server."""
    words = title.removeprefix("postgres: ").split()
    return POSTGRES + (words[1] if f"{LOOPBACK}(" in title else " ".join(words[:2]))


def costs_of(before: Reading, after: Reading, count: int) -> Costs:
    """The difference of two readings, for each of `count`."""
    count = max(count, 1)
    of_parts, of_postgres = {}, {}
    for name, now in after.cpu_s.items():
        was = before.cpu_s.get(name, 0.0)
        if name.startswith(POSTGRES):
            # Less than before where a connection was closed: then what it had used has gone to `ended`.
            of_postgres[name.removeprefix(POSTGRES)] = (now - was) * 1000 / count
        else:
            # Less than before only where the part was started anew.
            of_parts[name] = (now - was if now >= was else now) * 1000 / count
    of_parts["postgres"] = sum(of_postgres.values())
    commits = {
        name: (done - before.commits.get(name, 0)) / count
        for name, done in sorted(after.commits.items())
        if done > before.commits.get(name, 0)
    }
    return Costs(
        cpu_ms=_largest_first(of_parts),
        postgres_cpu_ms=_largest_first(of_postgres),
        cpu_ms_total=round(sum(of_parts.values()), 4),
        commits={name: round(number, 3) for name, number in commits.items()},
        commits_total=round(sum(commits.values()), 3),
        wal_bytes=round((after.wal_bytes - before.wal_bytes) / count),
    )


def _largest_first(shares: Mapping[str, float]) -> dict[str, float]:
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return {name: round(ms, 4) for name, ms in ordered if round(ms, 4) > 0}
