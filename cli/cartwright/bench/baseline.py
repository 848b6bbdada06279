"""The baseline: pgbench doing a purchase's five transactions one order at a time (`baseline.sql`).

It runs on a PostgreSQL of its own, with the programs and settings of the system's, durable likewise, so that neither
leaves the other its dead rows, its checkpoints or its memory. They never work at the same time.
"""

import contextlib
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cartwright.bench.figures import Outcome, latency_of
from cartwright.launcher import postgres
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.postgres_logins import Passwords
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import START_SECONDS_MAX, ServerProcess, free_port

DATABASE = "baseline"
# It has no rights but to its own tables, on loopback, for as long as the bench runs; no other process has the port.
CONNECTIONS_MAX = 600
OVERHEAD_S_MAX = 60.0
SCRIPT = Path(__file__).with_name("baseline.sql")
TABLES = Path(__file__).with_name("baseline_tables.sql")


class Baseline(ServerProcess):
    def __init__(self, folder: Path, password: str, will: Reaper, products: int) -> None:
        self.port = free_port()
        self._password = password
        self._products = products
        cluster = folder / "postgresql"
        # A database with a login of its own, as a service has it.
        postgres.prepare(cluster, self.port, password, {DATABASE: Passwords(password, password, password)})
        command = [*postgres.server_command(cluster), "-c", f"max_connections={CONNECTIONS_MAX}"]
        super().__init__(command, folder, will, postgres.server_user())

    def make_tables(self) -> None:
        self._run("psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(TABLES))

    def is_ready(self) -> bool:
        with contextlib.suppress(postgres.PostgresFailed):
            self._run("psql", "--no-psqlrc", "--quiet", "--command", "SELECT", within_s=START_SECONDS_MAX)
            return True
        return False

    def measure(self, clients: int, seconds: float) -> Outcome:
        """Prepared statements, as the services use them; as many threads as there are processors for many clients."""
        with tempfile.TemporaryDirectory() as folder:
            whole_seconds = max(round(seconds), 1)
            self._run(
                "pgbench",
                *("--no-vacuum", "--protocol", "prepared", "--file", str(SCRIPT)),
                *("--client", str(clients), "--jobs", str(min(clients, os.cpu_count() or 1))),
                *("--time", str(whole_seconds), "--log", "--log-prefix", str(Path(folder) / "transactions")),
                within_s=whole_seconds + OVERHEAD_S_MAX,
            )
            return outcome_of(clients, whole_seconds, _transactions(Path(folder)))

    def _run(self, program: str, *arguments: str, within_s: float = OVERHEAD_S_MAX) -> None:
        define = "--set" if program == "psql" else "--define"
        completed = subprocess.run(
            [postgres.wheel_programs()[program], *arguments, define, f"products={self._products}"],
            env={
                "PATH": "/usr/bin:/bin",
                "PGHOST": LOOPBACK,
                "PGPORT": str(self.port),
                "PGUSER": DATABASE,
                "PGDATABASE": DATABASE,
                "PGPASSWORD": self._password,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        if completed.returncode != 0:
            raise postgres.PostgresFailed(f"{program}: {completed.stderr}")


def outcome_of(clients: int, seconds: float, lines: Iterator[str]) -> Outcome:
    """From pgbench's log: client, number, microseconds or `failed`, script, and when it ended."""
    durations_s, failed = [], 0
    for line in lines:
        took = line.split()[2]
        if took.isdecimal():
            durations_s.append(int(took) / 1e6)
        else:
            failed += 1
    return Outcome(
        clients=clients,
        seconds=seconds,
        per_second=round(len(durations_s) / seconds, 1),
        latency=latency_of(durations_s),
        errors=failed,
        answers=dict(Counter({"done": len(durations_s), "failed": failed})),
    )


def _transactions(folder: Path) -> Iterator[str]:
    for file in folder.iterdir():
        with file.open() as lines:
            yield from lines


@contextlib.contextmanager
def running_baseline(folder: Path, password: str, will: Reaper, products: int) -> Iterator[Baseline]:
    """`folder` has to be one that the user who runs PostgreSQL reaches, on a disk."""
    baseline = Baseline(folder, password, will, products)
    baseline.start()
    try:
        baseline.make_tables()
        yield baseline
    finally:
        baseline.kill()
