"""Says where everything of one system is: its parts, their ports, and the folders below `--data`.

All ports follow from one base port, so that two systems live side by side by choosing another base.
"""

from dataclasses import dataclass
from pathlib import Path

PORT_DEFAULT = 8080
LOOPBACK = "127.0.0.1"

# The order of the names is the order of their ports: users listens on base + 11.
SERVICES = ("users", "catalog", "orders", "payments", "notifications", "audit", "storefront")

# The storefront keeps nothing: it joins the answers of the others.
SERVICES_WITH_DATABASE = tuple(name for name in SERVICES if name != "storefront")
PUBLISHERS = ("users", "catalog", "orders", "payments", "notifications")
"""Those that emit events."""
CONSUMERS = ("catalog", "orders", "payments", "notifications", "audit")
"""Those that consume events; each is a consumer group."""

STREAM = "cartwright"

# The ports of nine replicas fit between two systems.
REPLICAS_MAX = 9
PORTS_BETWEEN_REPLICAS = 10


def part_name(service: str, replica: int) -> str:
    """The name of a replica, counted from 1, as a part: `orders` is the first one, `orders-2` the second."""
    return service if replica == 1 else f"{service}-{replica}"


@dataclass(frozen=True)
class Ports:
    """The ports of one system. `base` is the gateway's, the only one that a client needs."""

    base: int = PORT_DEFAULT
    replicas: int = 1

    @property
    def gateway(self) -> int:
        return self.base

    @property
    def envoy_admin(self) -> int:
        return self.base + 1

    @property
    def supervisor(self) -> int:
        return self.base + 2

    @property
    def postgres(self) -> int:
        return self.base + 3

    @property
    def nats(self) -> int:
        return self.base + 4

    @property
    def nats_monitor(self) -> int:
        return self.base + 5

    @property
    def smtp(self) -> int:
        return self.base + 6

    @property
    def mailbox(self) -> int:
        return self.base + 7

    def service(self, name: str, replica: int = 1) -> int:
        return self.base + 11 + SERVICES.index(name) + PORTS_BETWEEN_REPLICAS * (replica - 1)

    def all(self) -> dict[str, int]:
        """Every port by what it is for, in the order in which a person would look for it."""
        return {
            "gateway": self.gateway,
            "envoy admin": self.envoy_admin,
            "supervisor": self.supervisor,
            "postgres": self.postgres,
            "nats": self.nats,
            "nats monitor": self.nats_monitor,
            "smtp": self.smtp,
            "mailbox": self.mailbox,
            **{
                part_name(name, replica): self.service(name, replica)
                for replica in range(1, self.replicas + 1)
                for name in SERVICES
            },
        }


@dataclass(frozen=True)
class Layout:
    """The files of one system below its data folder."""

    data: Path

    @property
    def credentials(self) -> Path:
        return self.data / "credentials.json"

    @property
    def accounts(self) -> Path:
        """The accounts that `cartwright token` made, with their passwords."""
        return self.data / "accounts.json"

    @property
    def lock(self) -> Path:
        return self.data / "lock"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def mail(self) -> Path:
        return self.data / "mail"

    @property
    def nats(self) -> Path:
        return self.data / "nats"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data, or as root a link to where it lies."""
        return self.data / "postgresql"

    @property
    def audit(self) -> Path:
        return self.data / "audit"

    @property
    def run(self) -> Path:
        """What is written anew at every start: generated configurations, and what each service may know."""
        return self.data / "run"

    @property
    def supervisor_configuration(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def nats_configuration(self) -> Path:
        return self.run / "nats.conf"

    @property
    def envoy_configuration(self) -> Path:
        return self.run / "envoy.yaml"

    @property
    def tls_secret(self) -> Path:
        """What tells Envoy where the gateway's certificate is."""
        return self.run / "tls.json"

    @property
    def choices(self) -> Path:
        """The port, the rate limit and the number of replicas of the last start."""
        return self.run / "system.json"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"
