"""Finds a RabbitMQ that is installed on this machine, and says how to start one that touches no other.

There is no wheel of it. A node has a name, ports, a cookie and a store of its own, all of it on loopback.
"""

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cartwright.launcher.broker_logins import rabbit_definitions
from cartwright.launcher.layout import LOOPBACK

CONFIGURATION = """\
listeners.tcp.local = {host}:{port}
load_definitions = {definitions}
log.console = true
log.console.level = warning
log.file = false
disk_free_limit.absolute = 50MB
"""

INSTALL = "apt-get install rabbitmq-server"

# Debian's /usr/sbin/rabbitmq-server changes to the user of the system's own server.
_PROGRAM_OF_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def program() -> str | None:
    """The script that starts a node; None where RabbitMQ is not installed."""
    if shutil.which("epmd") is None:
        return None
    return str(_PROGRAM_OF_DEBIAN) if _PROGRAM_OF_DEBIAN.exists() else shutil.which("rabbitmq-server")


@dataclass(frozen=True)
class NodePorts:
    amqp: int
    distribution: int
    names: int
    """Of epmd, the daemon by which nodes of Erlang find each other."""


def write_configuration(
    folder: Path, ports: NodePorts, password: str, exchange: str, logins: Mapping[str, str]
) -> None:
    """Writes what `server_environment` points at. `password` is the operator's; `logins` holds the services'."""
    definitions = folder / "definitions.json"
    _write(definitions, json.dumps(rabbit_definitions(exchange, password, logins)), 0o600)
    # A process that knows the cookie may run code in the node.
    _write(folder / ".erlang.cookie", secrets.token_hex(20), 0o400)
    _write(folder / "enabled_plugins", "[].\n", 0o600)
    _write(
        folder / "rabbitmq.conf",
        CONFIGURATION.format(host=LOOPBACK, port=ports.amqp, definitions=definitions),
        0o600,
    )


def _write(path: Path, text: str, mode: int) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)


def names_command(ports: NodePorts) -> list[str]:
    """Runs epmd in the foreground. A node that finds none starts one by itself, which then outlives it."""
    return ["epmd", "-port", str(ports.names), "-address", LOOPBACK]


def server_environment(folder: Path, ports: NodePorts) -> Mapping[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(ports.names),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_MNESIA_BASE": str(store(folder)),
        "RABBITMQ_NODENAME": f"cartwright-{ports.amqp}@localhost",
        # The script then becomes the server, and does not stay in between as the one that gets the signals.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{{LOOPBACK.replace('.', ',')}}}",
    }


def store(folder: Path) -> Path:
    """Where the node keeps everything."""
    return folder / "rabbitmq"
