"""Runs the parts of a system under supervisord: writes its configuration, starts it, asks it, stops it."""

import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cartwright.launcher import postgres, processes
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.parts import GROUPS, Part, all_parts, inherited_environment
from cartwright.launcher.private_files import write_private
from cartwright.launcher.system import System

LOGIN = "cartwright"
CALL_SECONDS_MAX = 5

# A part that ends within two seconds of its start is tried again after 1 s, 2 s, 3 s and so on. What ends later is
# started again at once, without end.
START_RETRIES = 100

# Its fault of that name (supervisor.xmlrpc.Faults).
ALREADY_STARTED = 60

# What supervisor does not start again by itself.
STATES_AT_REST = ("STOPPING", "STOPPED", "FATAL")

HEAD = """\
[supervisord]
nodaemon = true
silent = true
logfile = {log}
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {run}/supervisord.pid
childlogdir = {run}
{user}
[inet_http_server]
port = {host}:{port}
username = {login}
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """
[program:{name}]
command = {command}
directory = {directory}
environment = {environment}
autostart = {autostart}
autorestart = true
startsecs = 2
startretries = {retries}
stopsignal = {stop_signal}
stopwaitsecs = {stop_seconds_max}
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 3
{user}
"""

GROUP = """
[group:{name}]
programs = {programs}
priority = {priority}
"""


@dataclass(frozen=True)
class PartState:
    """What supervisor says of one part. `state` is one of its names: RUNNING, STARTING, BACKOFF, FATAL, ..."""

    name: str
    state: str
    pid: int
    started: int
    complaint: str


def write_configuration(system: System, without: frozenset[str] = frozenset()) -> None:
    """Writes supervisord's configuration. The parts in `without` are started later, by `start_part`."""
    layout = system.layout
    parts = all_parts(system)
    head = HEAD.format(
        log=_escape(str(layout.log("supervisor"))),
        run=_escape(str(layout.run)),
        # Saying so keeps supervisord from warning about it.
        user="user = root\n" if postgres.server_user() else "",
        host=LOOPBACK,
        port=system.ports.supervisor,
        login=LOGIN,
        password=system.credentials.supervisor,
    )
    programs = "".join(_program(system, part, autostart=part.name not in without) for part in parts)
    groups = "".join(
        GROUP.format(
            name=group,
            programs=",".join(part.name for part in parts if part.group == group),
            # Supervisor starts the low numbers first, and ends them last.
            priority=100 - index,
        )
        for index, group in enumerate(GROUPS)
    )
    write_private(layout.supervisor_configuration, head + programs + groups)


def _program(system: System, part: Part, *, autostart: bool) -> str:
    return PROGRAM.format(
        name=part.name,
        command=_escape(shlex.join([*_nice(part.niceness), *part.command])),
        # A folder that every user may enter: PostgreSQL does not run as us.
        directory="/",
        environment=_escape(",".join(f'{key}="{value}"' for key, value in part.environment.items())),
        autostart="true" if autostart else "false",
        retries=START_RETRIES,
        stop_signal=part.stop_signal,
        stop_seconds_max=part.stop_seconds_max,
        log=_escape(str(system.layout.log(part.name))),
        user=f"user = {part.user}" if part.user else "",
    )


def _nice(niceness: int) -> list[str]:
    return ["nice", "-n", str(niceness)] if niceness else []


def _escape(value: str) -> str:
    return value.replace("%", "%%")


def start(system: System) -> subprocess.Popen[bytes]:
    """Starts supervisord in a session of its own: Ctrl-C is for us, who then stop all in order."""
    with system.layout.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                processes.SUPERVISOR_MODULE,
                "-c",
                str(system.layout.supervisor_configuration),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            # UTC, so that the logs of all parts sort together.
            env=inherited_environment() | {processes.MARK: str(system.layout.data), "TZ": "UTC"},
            start_new_session=True,
        )


class _Transport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> Any:
        connection = super().make_connection(host)
        connection.timeout = CALL_SECONDS_MAX
        return connection


def _proxy(system: System) -> xmlrpc.client.ServerProxy:
    address = f"http://{LOGIN}:{system.credentials.supervisor}@{LOOPBACK}:{system.ports.supervisor}/RPC2"
    return xmlrpc.client.ServerProxy(address, transport=_Transport())


def part_states(system: System) -> Mapping[str, PartState]:
    """What supervisor says of every part. Raises OSError while supervisor does not answer."""
    answer = _call(system, "getAllProcessInfo")
    return {
        info["name"]: PartState(info["name"], info["statename"], info["pid"], info["start"], info["spawnerr"])
        for info in answer
    }


def start_part(system: System, part: Part) -> None:
    """Starts it, if it does not run. Raises OSError while supervisor does not answer."""
    try:
        _call(system, "startProcess", f"{part.group}:{part.name}", False)
    except OSError as error:
        # An earlier call whose answer was not waited for has done it.
        if not (isinstance(error.__cause__, xmlrpc.client.Fault) and error.__cause__.faultCode == ALREADY_STARTED):
            raise


def stop_part(system: System, part: Part) -> None:
    """Asks it to end, and does not wait for it. It stays down until it is started. Raises OSError when it cannot be."""
    deadline = time.monotonic() + CALL_SECONDS_MAX
    while part_states(system)[part.name].state not in STATES_AT_REST:
        try:
            _call(system, "stopProcess", f"{part.group}:{part.name}", False)
        except OSError:
            # It has just ended by itself. Until it is started again, which is soon, it cannot be told to stay down.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _call(system: System, method: str, *arguments: object) -> Any:
    with _proxy(system) as proxy:
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (xmlrpc.client.Error, ValueError) as error:
            raise OSError(f"supervisor answered {error}") from error
