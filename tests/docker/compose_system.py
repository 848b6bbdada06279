"""A system under Docker Compose for tests: a copy of the checkout, started by the command that people use.

It has a project of its own, so that nothing of another system is touched, and is removed with its volumes however the
tests end. Its images stay: their layers make the next run quick.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cartwright.launcher.api import Api
from cartwright.launcher.reaper import Reaper
from cartwright.launcher.remote_system import RemoteSystem, read_remote_system

ROOT = Path(__file__).parents[2]
PROJECT = "cartwright-test"
GATEWAY_PORT, MAILBOX_PORT, PROMETHEUS_PORT = 9500, 9501, 9502
VERSION = "test"
"""The tag of its images."""
NOT_COPIED = {".git", ".venv", ".cartwright", "secrets"}
"""Of what stands at the top: large, or another system's."""

OF_OUTER_MAKE = {"MAKEFLAGS", "MAKELEVEL", "ARGS"}
"""Meant for the run of the tests, and not for the commands that they run."""

START_S_MAX = 600
COMMAND_S_MAX = 150
HEALTHY_S_MAX = 120
POLL_S = 0.2
LOG_LINES = "40"


@dataclass(frozen=True)
class Container:
    """One container as `docker inspect` shows it."""

    shown: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.shown["Id"])

    @property
    def part(self) -> str:
        """Its name in compose.yaml."""
        return str(self.shown["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def image(self) -> str:
        return str(self.shown["Config"]["Image"])

    @property
    def pid(self) -> int:
        return int(self.shown["State"]["Pid"])

    @property
    def is_running(self) -> bool:
        return bool(self.shown["State"]["Running"])

    @property
    def is_healthy(self) -> bool:
        return self.is_running and self.shown["State"].get("Health", {}).get("Status") == "healthy"

    @property
    def host(self) -> Mapping[str, Any]:
        """What it may do and use."""
        shown: Mapping[str, Any] = self.shown["HostConfig"]
        return shown

    @property
    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        """Its place in each network, by the network's full name."""
        shown: Mapping[str, Mapping[str, Any]] = self.shown["NetworkSettings"]["Networks"]
        return shown


class ComposeSystem:
    """The running system. `folder` is its copy of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway_url = f"http://localhost:{GATEWAY_PORT}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_OUTER_MAKE},
            "COMPOSE_PROJECT_NAME": PROJECT,
            "GATEWAY_PORT": str(GATEWAY_PORT),
            "MAILBOX_PORT": str(MAILBOX_PORT),
            "PROMETHEUS_PORT": str(PROMETHEUS_PORT),
            "CARTWRIGHT_VERSION": VERSION,
        }

    # --- As an operator

    def make(self, target: str, *, seconds_max: float = COMMAND_S_MAX, **environment: str) -> str:
        """Runs a target of the Makefile, which has to succeed; answers what it said."""
        return self._succeed(["make", "--no-print-directory", target], seconds_max, **environment)

    def compose(self, *arguments: str, **environment: str) -> str:
        return self._succeed([*compose_command(), *arguments], COMMAND_S_MAX, **environment)

    def docker(self, *arguments: str) -> str:
        return self._succeed(["docker", *arguments], COMMAND_S_MAX)

    def attempt(self, command: Sequence[str], seconds_max: float = COMMAND_S_MAX) -> "subprocess.CompletedProcess[str]":
        return self._run(command, seconds_max, {})

    def inside(self, part: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command in the first container of a part."""
        return self.attempt(["docker", "exec", self.container(part).id, *command])

    def query(self, service: str, statement: str) -> list[dict[str, Any]]:
        """The rows of a service's database that a SELECT answers, through the database's own container."""
        done = self.inside(
            f"{service}-database",
            *("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-d", service, "-qAt", "-c"),
            f"SELECT coalesce(json_agg(found), '[]') FROM ({statement}) AS found",
        )
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    # --- What there is

    @cached_property
    def known(self) -> RemoteSystem:
        """Its addresses and logins; the gateway's as it is from outside."""
        return read_remote_system(self.folder / "secrets" / "system.json", self.gateway_url)

    @property
    def api(self) -> Api:
        """A client that is not signed in."""
        return Api(f"{self.gateway_url}/api")

    def containers(self, part: str | None = None) -> list[Container]:
        """All of them, stopped ones too, or those of one part."""
        of_part = ["--filter", f"label=com.docker.compose.service={part}"] if part else []
        ids = self.docker(
            *("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}", *of_part)
        ).split()
        shown = json.loads(self.docker("inspect", *ids)) if ids else []
        return sorted((Container(one) for one in shown), key=lambda container: container.shown["Name"])

    def container(self, part: str) -> Container:
        return self.containers(part)[0]

    def parts(self) -> list[str]:
        """What compose.yaml starts, by name."""
        return sorted(self.compose("config", "--services").split())

    # --- Waiting and looking

    def until(self, condition: Callable[[], bool], what: str, seconds_max: float = HEALTHY_S_MAX) -> None:
        """Returns once it holds; fails with the state and the last words of what is not well."""
        deadline = time.monotonic() + seconds_max
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds_max:.0f} s it is not so that {what}\n{self.last_words()}")
            time.sleep(POLL_S)

    def until_healthy(self, part: str | None = None) -> None:
        self.until(
            lambda: bool(there := self.containers(part)) and all(container.is_healthy for container in there),
            f"{part or 'every container'} is healthy",
        )

    def last_words(self) -> str:
        """The ends of the logs of all that is not well, or of the services where all seems to be."""
        there = self.containers()
        unwell = [container for container in there if not container.is_healthy] or there
        words = []
        for container in unwell:
            state = container.shown["State"]
            done = self.attempt(["docker", "logs", "--tail", LOG_LINES, container.id])
            words.append(f"--- {container.shown['Name']}: {json.dumps(state)}\n{done.stdout}{done.stderr}")
        return "\n".join(words)

    def verify(self) -> None:
        """Every promise that data shows, by a container of its own."""
        done = self.attempt([*compose_command(), "run", "--rm", "-T", "tools", "verify"])
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.last_words()}"

    # --- Breaking it

    def kill(self, container: Container) -> None:
        self.docker("kill", container.id)

    def start(self, container: Container) -> None:
        self.docker("start", container.id)

    @contextmanager
    def cut(self, network: str) -> Iterator[None]:
        """Disconnect all containers of this network for the duration of the context."""
        name = f"{PROJECT}_{network}"
        members = [container for container in self.containers() if name in container.networks]
        assert members, f"no container is in {network}"
        try:
            for container in members:
                self.docker("network", "disconnect", name, container.id)
            yield
        finally:
            for container in members:
                names = [f"--alias={alias}" for alias in container.networks[name]["Aliases"] or ()]
                self.docker("network", "connect", *names, name, container.id)

    # --- Running commands

    def _succeed(self, command: Sequence[str], seconds_max: float, **environment: str) -> str:
        done = self._run(command, seconds_max, environment)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _run(
        self, command: Sequence[str], seconds_max: float, environment: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )


def compose_command() -> list[str]:
    """Compose v2 where it is, else docker-compose 1.29."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=COMMAND_S_MAX, check=False)
    return ["docker", "compose"] if v2.returncode == 0 else ["docker-compose"]


def removal() -> list[str]:
    """A command that removes all that the project has, whatever of it there is; run by a shell, needing no file."""
    of_project = f"--filter label=com.docker.compose.project={PROJECT}"
    steps = [
        f"docker ps --all --quiet {of_project} | xargs --no-run-if-empty docker rm --force --volumes",
        f"docker network ls --quiet {of_project} | xargs --no-run-if-empty docker network rm",
        f"docker volume ls --quiet {of_project} | xargs --no-run-if-empty docker volume rm",
    ]
    return ["sh", "-c", "; ".join(steps)]


@contextmanager
def running_compose_system(folder: Path, reaper: Reaper) -> Iterator[ComposeSystem]:
    """Started by `make docker-up` in a copy of the checkout at `folder`; removed with its data and its secrets."""
    system = ComposeSystem(folder)
    reaper.remove_folder(folder)
    reaper.run_command(removal(), while_exists=folder)
    shutil.copytree(ROOT, folder, ignore=_not_copied, symlinks=True)
    system.attempt(removal())
    try:
        system.make("docker-up", seconds_max=START_S_MAX)
        yield system
    finally:
        system.attempt(removal())
        shutil.rmtree(folder)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    at_the_top = NOT_COPIED if Path(folder) == ROOT else set()
    return {name for name in names if name in at_the_top or name == "__pycache__" or name.endswith("_cache")}
