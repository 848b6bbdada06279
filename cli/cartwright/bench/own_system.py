"""A system for the bench alone: new, on a disk, with nothing left of it afterwards."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from cartwright.launcher import postgres
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.system import SystemUnderTest, running_system

# Not /tmp, which is memory on many machines: what is measured has to reach a disk.
SCRATCH = Path("/var/tmp")  # noqa: S108 - a folder of a random name is made in it, for us alone.


@contextlib.contextmanager
def own_system(will: Reaper, replicas: int) -> Iterator[tuple[SystemUnderTest, float]]:
    """The system, started, and the seconds that its start took."""
    with folder(will) as parent:
        began_at = perf_counter()
        with running_system(parent / "data", will, replicas) as scratch:
            yield scratch, round(perf_counter() - began_at, 2)


def start_again_s(scratch: SystemUnderTest) -> float:
    """The seconds that it takes to start on the data that there are."""
    scratch.stop()
    began_at = perf_counter()
    scratch.start()
    return round(perf_counter() - began_at, 2)


@contextlib.contextmanager
def folder(will: Reaper, *, for_postgres: bool = False) -> Iterator[Path]:
    """On a disk, and where PostgreSQL's user reaches it if that is another one."""
    is_others = for_postgres and postgres.server_user() is not None
    if is_others:
        postgres.make_reachable(postgres.ROOT_HOME)
    with tempfile.TemporaryDirectory(
        prefix="cartwright-bench-", dir=postgres.ROOT_HOME if is_others else SCRATCH, ignore_cleanup_errors=True
    ) as name:
        made = Path(name)
        made.chmod(0o755 if is_others else 0o700)
        will.remove_folder(made)
        yield made
