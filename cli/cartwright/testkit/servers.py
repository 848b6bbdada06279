"""Real PostgreSQL, NATS and RabbitMQ servers for tests: quick to start, safe to kill, and thrown away afterwards.

The same programs and settings as the embedded system, except that nothing is synced to disk: a test kills processes,
not machines.
"""

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cartwright.launcher import broker_logins, nats, postgres, rabbitmq
from cartwright.launcher.layout import LOOPBACK, STREAM
from cartwright.launcher.postgres_logins import (
    Passwords,
    access_statements,
    database_statement,
    login_statements,
    reader_login,
    service_login,
)
from cartwright.launcher.reaper import Reaper

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 10
POLL_SECONDS = 0.02
RABBIT_SETTLE_SECONDS = 1.5


class ServerProcess:
    """A server process that a test may kill and start again on the same port with the same data."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        will: Reaper,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = environment or {"PATH": "/usr/bin:/bin"}
        self.folder = folder
        self._log = folder / "server.log"
        self._will = will
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server has been started"
        return self._process.pid

    def start(self) -> None:
        """Starts the server and returns once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environment,
                start_new_session=True,
                user=self._user,
                group=None if self._user is None else postgres.server_group(self._user),
                extra_groups=None if self._user is None else [],
            )
        self._will.stop_process(self._process.pid)
        wait_until(self._answers, f"{Path(self._command[0]).name} answers")

    def stop(self) -> None:
        """Ends the server in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, signal_number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal_number)
            self._process.wait(STOP_SECONDS_MAX)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended at its start:\n{self._log.read_text()}")
        return self.is_ready()

    def is_ready(self) -> bool:
        raise NotImplementedError


class PostgresServer(ServerProcess):
    """`superuser_url` may do anything; tests otherwise use a database of their own by `make_database`."""

    def __init__(self, folder: Path, will: Reaper) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.password = secrets.token_urlsafe(12)
        self.cluster = folder / "postgresql"
        self.make_cluster()
        super().__init__(postgres.server_command(self.cluster), folder, will, postgres.server_user())

    def make_cluster(self) -> None:
        postgres.prepare(self.cluster, self.port, self.password, {}, durable=False)

    @property
    def superuser_url(self) -> str:
        return self._superuser_url(postgres.SUPERUSER)

    def _superuser_url(self, database: str) -> str:
        return self._url(postgres.SUPERUSER, self.password, database)

    def end(self) -> None:
        """Ends it at once, for good. Killed, it would leave a segment of shared memory behind."""
        self._end(signal.SIGQUIT)

    def make_database(self) -> str:
        """Makes an empty database with the three logins that a service's has; answers the owner's URL.

        `service_url` and `reader_url` make the URLs of the others from it.
        """
        name, password = _new_name(), secrets.token_urlsafe(12)
        self.execute(
            *login_statements(name, Passwords(password, password, password)),
            database_statement(name, f"STRATEGY {postgres.COPY_STRATEGY}"),
            *access_statements(name),
        )
        return self._url(name, password, name)

    def copy_database(self, url: str) -> str:
        """Makes a database like another one, to which no client may be connected, with the same logins.

        `url` is the owner's, and so is the answer.
        """
        original, name = urlsplit(url), _new_name()
        template, owner = original.path.removeprefix("/"), str(original.username)
        self.execute(
            f"CREATE DATABASE {name} OWNER {owner} TEMPLATE {template} STRATEGY {postgres.COPY_STRATEGY}",
            *access_statements(owner, name),
        )
        return original._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drops it even if clients are connected, with its logins if they are its own. `url` is the owner's."""
        name, login = url.rpartition("/")[2], urlsplit(url).username
        logins = [f"DROP ROLE {each}" for each in (name, service_login(name), reader_login(name))]
        self.execute(f"DROP DATABASE {name} WITH (FORCE)", *(logins if login == name else []))

    def execute(self, *statements: str, database: str = postgres.SUPERUSER) -> None:
        """Runs statements as the superuser, each in a transaction of its own."""
        commands = [word for statement in statements for word in ("--command", statement)]
        completed = self._psql("--set", "ON_ERROR_STOP=1", *commands, database=database)
        if completed.returncode != 0:
            raise postgres.PostgresFailed(completed.stderr)

    def query(self, statement: str) -> str:
        """Answers the one value that a statement of the superuser selects, as text."""
        completed = self._psql("--tuples-only", "--no-align", "--command", statement)
        if completed.returncode != 0:
            raise postgres.PostgresFailed(completed.stderr)
        return completed.stdout.strip()

    def is_ready(self) -> bool:
        return self._psql("--command", "SELECT").returncode == 0

    def _psql(self, *arguments: str, database: str = postgres.SUPERUSER) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                postgres.wheel_programs()["psql"],
                "--no-psqlrc",
                "--quiet",
                "--dbname",
                self._superuser_url(database),
                *arguments,
            ],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )

    def _url(self, login: str, password: str, database: str) -> str:
        return f"postgresql://{login}:{password}@{self.host}:{self.port}/{database}"


def service_url(owner_url: str) -> str:
    """The URL by which a service reaches a scratch database."""
    return _with_login(owner_url, service_login)


def owner_url(service_url: str) -> str:
    """The URL of the login that owns the scratch database of a service: to look into it, and to damage it."""
    return _with_login(service_url, lambda login: login.removesuffix(service_login("")))


def reader_url(owner_url: str) -> str:
    """The URL by which `verify` reads a scratch database."""
    return _with_login(owner_url, reader_login)


def _with_login(url: str, change: Callable[[str], str]) -> str:
    address = urlsplit(url)
    rest = address.netloc.removeprefix(str(address.username))
    return address._replace(netloc=change(str(address.username)) + rest).geturl()


class NatsServer(ServerProcess):
    """`url(stream)` is what a service takes as EVENTS_URL.

    With `logins`, each of these services has a login of its own to the one stream of a system: `url_of(service)`.
    """

    def __init__(self, folder: Path, will: Reaper, logins: Sequence[str] = ()) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.monitor_port = free_port()
        self._password = secrets.token_urlsafe(12)
        self._logins = {name: secrets.token_urlsafe(12) for name in logins}
        configuration = folder / "nats.conf"
        self._store = folder / "nats"
        # Every test has streams of its own, each with the reservation of a real one.
        nats.write_configuration(
            configuration,
            self._store,
            self.port,
            self.monitor_port,
            self._password,
            logins=self._logins,
            file_store_max="100TB",
            durable=False,
        )
        super().__init__(nats.server_command(configuration), folder, will)

    def lose_store(self) -> None:
        """Has it forget everything, between a kill and a start."""
        shutil.rmtree(self._store)
        self._store.mkdir(mode=0o700)

    def url(self, stream: str) -> str:
        return f"nats://{broker_logins.OPERATOR}:{self._password}@{self.host}:{self.port}/{stream}"

    def url_of(self, service: str) -> str:
        return f"nats://{service}:{self._logins[service]}@{self.host}:{self.port}/{STREAM}"

    def is_ready(self) -> bool:
        health = f"http://{self.host}:{self.monitor_port}/healthz"
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=1) as answer:
            return bool(answer.status == 200)
        return False


class RabbitServer(ServerProcess):
    """`url(exchange)` is what a service takes as EVENTS_URL. Only where `rabbitmq.program()` finds one.

    With `logins`, each of these services has a login of its own to the exchange of a system: `url_of(service)`.
    """

    def __init__(self, folder: Path, will: Reaper, logins: Sequence[str] = ()) -> None:
        program = rabbitmq.program()
        assert program is not None, rabbitmq.INSTALL
        self._ports = rabbitmq.NodePorts(free_port(), free_port(), free_port())
        self._password = secrets.token_urlsafe(12)
        self._names: subprocess.Popen[bytes] | None = None
        self._logins = {name: secrets.token_urlsafe(12) for name in logins}
        rabbitmq.write_configuration(folder, self._ports, self._password, STREAM, self._logins)
        super().__init__([program], folder, will, environment=rabbitmq.server_environment(folder, self._ports))

    def start(self) -> None:
        if self._names is None:
            self._names = subprocess.Popen(
                rabbitmq.names_command(self._ports), stdin=subprocess.DEVNULL, cwd="/", start_new_session=True
            )
            self._will.stop_process(self._names.pid)
        super().start()

    def kill(self) -> None:
        # A queue that is younger than that when its node is killed never works again (RabbitMQ 3.10): the node keeps
        # the names of its queues in a file that it writes half a second later.
        time.sleep(RABBIT_SETTLE_SECONDS)
        super().kill()

    def end(self) -> None:
        """Kills it, and what it needed, for good."""
        super().kill()
        if self._names is not None:
            self._names.kill()
            self._names.wait(STOP_SECONDS_MAX)
            self._names = None

    def lose_store(self) -> None:
        """Has it forget everything, between a kill and a start."""
        shutil.rmtree(rabbitmq.store(self.folder))

    def url(self, exchange: str) -> str:
        return f"amqp://{broker_logins.OPERATOR}:{self._password}@{LOOPBACK}:{self._ports.amqp}/{exchange}"

    def url_of(self, service: str) -> str:
        return f"amqp://{service}:{self._logins[service]}@{LOOPBACK}:{self._ports.amqp}/{STREAM}"

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self._ports.amqp), timeout=1) as probe:
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(8))
        return False


@contextlib.contextmanager
def running_postgres(will: Reaper) -> Iterator[PostgresServer]:
    with temporary_folder(will) as folder:
        server = PostgresServer(folder, will)
        server.start()
        try:
            yield server
        finally:
            server.end()


@contextlib.contextmanager
def running_nats(will: Reaper, logins: Sequence[str] = ()) -> Iterator[NatsServer]:
    with temporary_folder(will) as folder:
        server = NatsServer(folder, will, logins)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def running_rabbit(will: Reaper, logins: Sequence[str] = ()) -> Iterator[RabbitServer]:
    with temporary_folder(will) as folder:
        server = RabbitServer(folder, will, logins)
        try:
            server.start()
            yield server
        finally:
            server.end()


@contextlib.contextmanager
def temporary_folder(will: Reaper) -> Iterator[Path]:
    """A folder that is gone afterwards, in a place where the user who runs PostgreSQL reaches it."""
    is_root = postgres.server_user() is not None
    if is_root:
        postgres.make_reachable(postgres.ROOT_HOME)
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=postgres.ROOT_HOME if is_root else None))
    folder.chmod(0o755 if is_root else 0o700)
    will.remove_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {START_SECONDS_MAX} s it is still not so that {what}")
        time.sleep(POLL_SECONDS)
