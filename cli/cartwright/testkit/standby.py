"""A PostgreSQL primary with a hot standby that replicates it synchronously, for tests of a switch-over."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cartwright.launcher import postgres
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import PostgresServer, running_postgres, temporary_folder, wait_until

REPLICATION_LOGIN = f"host replication {postgres.SUPERUSER} 127.0.0.1/32 scram-sha-256\n"


class StandbyServer(PostgresServer):
    """A copy of `primary` that follows it. `promote` makes it a primary."""

    def __init__(self, folder: Path, will: Reaper, primary: PostgresServer) -> None:
        self._primary = primary
        super().__init__(folder, will)
        self.password = primary.password

    def make_cluster(self) -> None:
        self.cluster.mkdir(mode=0o700)
        postgres.hand_over(self.cluster)
        postgres.run_program(
            [
                postgres.server_programs()["pg_basebackup"],
                *("--pgdata", str(self.cluster), "--dbname", self._primary.superuser_url),
                *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
            ]
        )
        super().make_cluster()

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")


def demote(primary: PostgresServer) -> None:
    """Restarts a primary as a hot standby, as a failover manager does with one that it replaces."""
    primary.stop()
    postgres.write_owned(primary.cluster / "standby.signal", "")
    primary.start()


@contextlib.contextmanager
def running_pair(will: Reaper) -> Iterator[tuple[PostgresServer, StandbyServer]]:
    """A primary and its standby. A commit returns once the standby has it too."""
    with running_postgres(will) as primary, temporary_folder(will) as folder:
        authentication = primary.cluster / "pg_hba.conf"
        postgres.write_owned(authentication, authentication.read_text() + REPLICATION_LOGIN)
        primary.execute("SELECT pg_reload_conf()")
        standby = StandbyServer(folder, will, primary)
        standby.start()
        try:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            wait_until(lambda: _is_synchronous(primary), "the standby is synchronous")
            yield primary, standby
        finally:
            standby.end()


def _is_synchronous(primary: PostgresServer) -> bool:
    return primary.query("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1"
