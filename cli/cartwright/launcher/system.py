"""One embedded system as the commands see it: where it lies, where it listens, and with which credentials.

Every command that speaks to a system opens it here, by its data folder.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cartwright.launcher import broker_logins, credentials, keys, postgres, postgres_logins
from cartwright.launcher.credentials import Credentials
from cartwright.launcher.errors import CannotGoOn, NoSuchSystem
from cartwright.launcher.layout import LOOPBACK, SERVICES, STREAM, Layout, Ports, part_name
from cartwright.launcher.private_files import make_private_folder, write_private
from cartwright.launcher.tls import TlsFiles, client_context

RATE_LIMIT_DEFAULT = 50

# Supervisor reads its configuration as an INI file: these would end a value, or begin another.
CHARACTERS_REFUSED = "\"'\\;#\n\r"


class Entry(msgspec.Struct, frozen=True):
    """How clients come to the gateway."""

    trusted_proxies: str = ""
    """As in `parse_trusted_proxies`."""
    tls: TlsFiles | None = None
    """None: the gateway speaks plain HTTP."""


PLAIN_ENTRY = Entry()


class Choices(msgspec.Struct, frozen=True):
    """What a person chose at the last start. `rate_limit` is in requests per second and user; None is off.

    `events_url` is that of a broker of their own; None is the NATS that comes with the system.
    """

    port: int
    rate_limit: int | None
    replicas: int = 1
    events_url: str | None = None
    entry: Entry = PLAIN_ENTRY


@dataclass(frozen=True)
class System:
    layout: Layout
    ports: Ports
    credentials: Credentials
    rate_limit: int | None = RATE_LIMIT_DEFAULT
    proxy_ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """The port of a proxy, by who calls and which part: for `cartwright chaos`, which has connections fail."""
    external_broker_url: str | None = None
    """The EVENTS_URL of a broker that is no part of this system."""
    entry: Entry = PLAIN_ENTRY

    def port(self, caller: str, part: str, port: int) -> int:
        """Where `caller` finds the part that listens at `port`."""
        return self.proxy_ports.get((caller, part), port)

    @property
    def replicas(self) -> range:
        """The numbers of the replicas that each service has, from 1."""
        return range(1, self.ports.replicas + 1)

    @property
    def gateway_url(self) -> str:
        """For people."""
        return f"{self._gateway_scheme}://localhost:{self.ports.gateway}"

    @property
    def gateway_address(self) -> str:
        """For the commands. Not by a name: `localhost` may be an address on which nothing listens."""
        return f"{self._gateway_scheme}://{LOOPBACK}:{self.ports.gateway}"

    @property
    def gateway_tls(self) -> ssl.SSLContext | None:
        """By which the commands know the gateway; None where it speaks plain HTTP."""
        tls = self.entry.tls
        return None if tls is None else client_context(Path(tls.certificate).read_text())

    @property
    def _gateway_scheme(self) -> str:
        return "http" if self.entry.tls is None else "https"

    @property
    def mailbox_url(self) -> str:
        return f"http://localhost:{self.ports.mailbox}"

    def events_url(self, service: str) -> str:
        if self.external_broker_url is not None:
            return self.external_broker_url
        port = self.port(service, "nats", self.ports.nats)
        login, password = service, self.credentials.brokers[service]
        return f"nats://{login}:{password}@{LOOPBACK}:{port}/{STREAM}"

    @property
    def operator_events_url(self) -> str:
        """The login that may do everything at the broker: for tools, and for no service."""
        if self.external_broker_url is not None:
            return self.external_broker_url
        return f"nats://{broker_logins.OPERATOR}:{self.credentials.broker}@{LOOPBACK}:{self.ports.nats}/{STREAM}"

    @property
    def superuser_url(self) -> str:
        return self._database_url(postgres.SUPERUSER, self.credentials.postgres_superuser, postgres.SUPERUSER)

    @property
    def cluster(self) -> Path:
        """Where PostgreSQL's data lies."""
        return postgres.cluster_folder(self.layout.data, self.credentials.system_id)

    def service_url(self, service: str, replica: int = 1) -> str:
        return f"http://{LOOPBACK}:{self.ports.service(service, replica)}"

    def service_urls(self, service: str) -> list[str]:
        """The address of each replica."""
        return [self.service_url(service, replica) for replica in self.replicas]

    @property
    def administrator_email(self) -> str:
        return self.credentials.administrator_email

    @property
    def administrator_password(self) -> str:
        return self.credentials.administrator

    def service_ports(self, caller: str, service: str) -> list[int]:
        """The port of each replica, as `caller` finds it."""
        return [
            self.port(caller, part_name(service, replica), self.ports.service(service, replica))
            for replica in self.replicas
        ]

    def database_url(self, service: str) -> str:
        """The login by which the service itself reaches its database: it reads and writes rows."""
        return self._login_url(service, postgres_logins.service_login(service), self.credentials.runtimes[service])

    def owner_url(self, service: str) -> str:
        """The login that owns the service's database: migrations are applied by it."""
        return self._login_url(service, service, self.credentials.databases[service])

    @property
    def head_keys(self) -> str:
        """The JWKS by which the signed heads of audit's chain are verified: audit signs with its service key."""
        return keys.public_keys([self.credentials.service_keys["audit"]])

    def reader_url(self, service: str) -> str:
        """A login that reads what the service shows to `verify`, and changes nothing."""
        login = postgres_logins.reader_login(service)
        return self._database_url(login, self.credentials.readers[service], service)

    def _login_url(self, service: str, login: str, password: str) -> str:
        return self._database_url(login, password, service, self.port(service, "postgres", self.ports.postgres))

    def _database_url(self, login: str, password: str, database: str, port: int | None = None) -> str:
        return f"postgresql://{login}:{password}@{LOOPBACK}:{port or self.ports.postgres}/{database}"


def open_system(data: Path) -> System:
    """The system that was last started at this data folder, running or not.

    Raises NoSuchSystem where none ever was.
    """
    layout = Layout(data.resolve())
    try:
        kept = credentials.load(layout)
        choices = msgspec.json.decode(layout.choices.read_bytes(), type=Choices) if layout.choices.exists() else None
    except PermissionError as error:
        raise CannotGoOn(f"{data} belongs to another user. Run this as the user who started the system.") from error
    if kept is None or choices is None:
        raise NoSuchSystem(f"There is no system at {data}. Start one: cartwright up --data {data}")
    return _system(layout, kept, choices)


def make_data_folder(data: Path) -> Layout:
    """Makes the data folder where it is missing. Raises CannotGoOn where that cannot be."""
    layout = Layout(data.resolve())
    refused = sorted(set(str(layout.data)) & set(CHARACTERS_REFUSED))
    if refused:
        raise CannotGoOn(
            f"The path {layout.data} holds {' '.join(refused)}, which supervisor cannot take. Use another."
        )
    try:
        for folder in (layout.data, layout.logs, layout.mail, layout.nats, layout.audit, layout.run):
            make_private_folder(folder)
    except OSError as error:
        raise CannotGoOn(f"{layout.data} cannot be used: {error.strerror}. Choose another by --data.") from error
    return layout


def make_system(
    layout: Layout,
    port: int,
    rate_limit: int | None,
    replicas: int = 1,
    events_url: str | None = None,
    entry: Entry = PLAIN_ENTRY,
) -> System:
    """Makes the credentials that are missing, and notes these choices for the commands that come later."""
    choices = Choices(port, rate_limit, replicas, events_url, entry)
    system = _system(layout, credentials.load_or_make(layout), choices)
    write_private(layout.choices, msgspec.json.encode(choices).decode())
    return system


def _system(layout: Layout, kept: Credentials, choices: Choices) -> System:
    ports = Ports(choices.port, choices.replicas)
    return System(layout, ports, kept, choices.rate_limit, external_broker_url=choices.events_url, entry=choices.entry)


def write_what_services_may_know(system: System) -> None:
    """Writes the files that the environment of each service points at, each service's in a folder of its own."""
    run = system.layout.run
    public = keys.public_keys(system.credentials.service_keys.values())
    for service in SERVICES:
        folder = run / service
        make_private_folder(folder)
        write_private(folder / "service-key.jwk", system.credentials.service_keys[service])
        write_private(folder / "service-keys.jwks", public)
        if service in system.credentials.databases:
            write_private(folder / "events-url", system.events_url(service))
            write_private(folder / "database-url", system.database_url(service))
            write_private(folder / "database-owner-url", system.owner_url(service))
    write_private(run / "users" / "administrator-password", system.credentials.administrator)
    write_private(run / "users" / "key-encryption-keys", system.credentials.key_encryption_keys)
