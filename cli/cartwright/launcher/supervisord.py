"""supervisord, which starts what is written in Python as forks of itself, with the libraries loaded already.

Loading them takes a service a second of CPU, eight times over at a start; so it is done once, and the pages are shared
until a process writes to them. A process made this way is told apart from supervisord by its command line alone,
and ends with the status of one that was executed, but without what `atexit` was given. What is no Python, and every
other way to run a service, knows nothing of this.
"""

import contextlib
import gc
import importlib
import os
import resource
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from setproctitle import setproctitle
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

# Open files and connections of each part: the gateway alone holds two for every client.
DESCRIPTORS_MAX = 65_536

# What the services have in common, and nothing that is a thread or a connection, or draws by chance what has to be
# another one in each of them: a fork has what was drawn before.
LOADED = (
    "chassis.web.application",
    "chassis.security.access",
    "chassis.batching",
    "chassis.web.client",
    "chassis.messaging.consumer",
    "chassis.persistence.database",
    "chassis.values.email_address",
    "chassis.web.idempotency",
    "chassis.values.money",
    "chassis.messaging.brokers.nats",
    "chassis.web.openapi",
    "chassis.web.operations",
    "chassis.web.pages",
    "chassis.messaging.relay",
    "chassis.web.server",
    "chassis.messaging.signed_broker",
    "cryptography.hazmat.primitives.ciphers.aead",
    "jinja2",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)


class ForkingOptions(ServerOptions):  # type: ignore[misc] # It comes without types.
    """What supervisord asks of the operating system, with another answer to "execute this" for Python's modules."""

    def check_execv_args(self, filename: str, argv: Sequence[str], st: Any) -> None:
        super().check_execv_args(filename, argv, st)
        if _python_in(argv) is not None:
            # In supervisord, before the fork; and as late as this, so that the stores start meanwhile.
            try:
                load()
            except Exception:
                # Nothing else is to end for it. Each program meets the same, and tells it in its own log.
                self.logger.warn(f"what the services share could not be loaded:\n{traceback.format_exc()}")

    def execve(self, filename: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """In the fork. Raises OSError where a program cannot be executed; answers never."""
        python = _python_in(argv)
        if python is None:
            super().execve(filename, argv, env)
        else:
            _run(*python, env)


def load() -> None:
    """Load what the services have in common; at once when it is loaded."""
    if LOADED[-1] in sys.modules:
        return
    for name in LOADED:
        importlib.import_module(name)
    # Looking for cycles among them would write to their pages, which each fork would then have for itself.
    gc.freeze()


def _python_in(argv: Sequence[str]) -> tuple[int, Sequence[str]] | None:
    """The niceness and the command, if `argv` calls this Python with a module; with `nice` before it or without."""
    niceness, command = (int(argv[2]), argv[3:]) if list(argv[:2]) == ["nice", "-n"] else (0, argv)
    return (niceness, command) if list(command[:3]) == [sys.executable, "-P", "-m"] else None


def _run(niceness: int, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    # An object of supervisord that is not freed yet may be a file whose number belongs to another file here.
    gc.freeze()
    os.nice(niceness)
    setproctitle(" ".join([Path(command[0]).name, *command[1:]]))
    os.environ.clear()
    os.environ.update(env)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = list(command[3:])
    status = 1
    try:
        runpy.run_module(command[3], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = _status(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # What supervisord would do at its end is none of its business.


def _status(code: object) -> int:
    """What `sys.exit(code)` ends a process with."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS_MAX), hard))
    options = ForkingOptions()
    options.realize()
    options.first = True
    options.test = False
    # Has the title keep to the place of the command line. The environment behind it is how our processes are found.
    os.environ["SPT_NOENV"] = "1"
    with contextlib.suppress(asyncore.ExitNow):
        Supervisor(options).main()


if __name__ == "__main__":
    main()
