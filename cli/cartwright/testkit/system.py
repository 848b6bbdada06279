"""A whole system for tests: real processes, started by the command that people use, erased afterwards."""

import contextlib
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cartwright.launcher import listening
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.stop import erase_data, stop_at_once
from cartwright.launcher.system import System, open_system

COMMAND_SECONDS_MAX = 110

# Below the ports that the kernel hands out to clients.
PORTS_FROM, PORTS_TO = 20_000, 30_000


@dataclass(frozen=True)
class SystemUnderTest:
    """`data` is its folder, `port` its base port, `replicas` how many of each service run.

    `events_url` is that of a broker which is no part of it; `options` are further ones of `cartwright up`.
    """

    data: Path
    port: int
    replicas: int = 1
    events_url: str | None = None
    options: tuple[str, ...] = ()

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def opened(self) -> System:
        """As the commands see it: addresses, logins (superuser_url, reader_url) and folders."""
        return open_system(self.data)

    def token(self, email: str, *, admin: bool = False) -> str:
        """An access token of this account, which is made when there is none."""
        return self.run("token", "--email", email, *(["--admin"] if admin else [])).stdout.strip()

    def start(self) -> None:
        broker = [] if self.events_url is None else ["--events-url", self.events_url]
        self.run(
            *("up", "--detach", "--port", str(self.port), "--rate-limit", "off", "--replicas", str(self.replicas)),
            *broker,
            *self.options,
        )

    def stop(self) -> None:
        self.run("down")

    def erase(self) -> None:
        """At once: an orderly end would take seconds, for data that no test needs."""
        opened = self.opened()
        stop_at_once(opened)
        erase_data(opened)

    def run(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs a `cartwright` command on this system, which has to succeed."""
        completed = self.attempt(command, *arguments)
        assert completed.returncode == 0, f"cartwright {command}:\n{completed.stdout}{completed.stderr}"
        return completed

    def attempt(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command_line(command, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )

    def command_line(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cartwright", command, *arguments, "--data", str(self.data)]


@contextlib.contextmanager
def running_system(
    data: Path,
    reaper: Reaper,
    replicas: int = 1,
    events_url: str | None = None,
    options: tuple[str, ...] = (),
) -> Iterator[SystemUnderTest]:
    """A started system without rate limits, erased afterwards however this ends."""
    start = random.randrange(PORTS_FROM, PORTS_TO, listening.STEP_BETWEEN_SYSTEMS)  # noqa: S311
    system = SystemUnderTest(data, listening.free_base(start, replicas), replicas, events_url, options)
    reaper.run_command(system.command_line("down", "--erase"), while_exists=data)
    try:
        system.start()
        yield system
    finally:
        if data.exists():
            system.erase()
