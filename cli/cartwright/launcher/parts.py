"""Lists what runs: each part's command, environment and way to end, as supervisor is told."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cartwright.launcher import envoy, nats, postgres
from cartwright.launcher.layout import LOOPBACK, SERVICES, part_name
from cartwright.launcher.system import System

# The groups in the order in which they end: first no request comes in, then the services finish what they began, and
# what they write to ends last.
GROUPS = ("entry", "services", "stores")

# What of a person's own environment the parts get: how to find things, and what to tell about themselves.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LOG_LEVEL", "PYTHONDONTWRITEBYTECODE")
PASSED_ON_PREFIXES = ("OTEL_", "SSL_CERT_", "CRASH_")

# A buyer waits for an order, not for a mail or a line of the audit record. These services catch up after a rush.
NICENESS = {"notifications": 10, "audit": 5}

PEERS = ("users", "catalog", "orders", "payments", "notifications", "audit")


@dataclass(frozen=True)
class Part:
    """`address` is where a person or a client finds it; `stop_seconds_max` what it may take to end in order."""

    name: str
    group: str
    command: list[str]
    address: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds_max: int = 5
    user: str | None = None
    niceness: int = 0
    """How far it stands back where the processors do not do for all (nice(1))."""


def all_parts(system: System) -> list[Part]:
    ports = system.ports
    return [
        Part(
            name="postgres",
            group="stores",
            command=postgres.server_command(system.cluster),
            address=f"{LOOPBACK}:{ports.postgres}",
            # A fast shutdown: transactions are rolled back, the data is written. TERM would wait for every client.
            stop_signal="INT",
            stop_seconds_max=30,
            user=postgres.server_user(),
        ),
        *([_nats(system)] if system.external_broker_url is None else []),
        Part(
            name="mail",
            group="stores",
            command=[
                *(sys.executable, "-P", "-m", "cartwright.launcher.mail"),
                *("--smtp-port", str(ports.smtp), "--http-port", str(ports.mailbox)),
                *("--folder", str(system.layout.mail)),
            ],
            address=system.mailbox_url,
            niceness=NICENESS.get("notifications", 0),
        ),
        *(_service(system, name, replica) for name in SERVICES for replica in system.replicas),
        Part(
            name="gateway",
            group="entry",
            command=envoy.command(system.layout.envoy_configuration),
            address=system.gateway_url,
        ),
    ]


def _nats(system: System) -> Part:
    return Part(
        name="nats",
        group="stores",
        command=nats.server_command(system.layout.nats_configuration),
        address=f"{LOOPBACK}:{system.ports.nats}",
        # For the collector of garbage, which lets the heap double otherwise. It is no limit to what can be had.
        environment={"GOMEMLIMIT": "40MiB"},
        stop_seconds_max=10,
    )


def _service(system: System, name: str, replica: int) -> Part:
    return Part(
        name=part_name(name, replica),
        group="services",
        # -P: a folder that happens to be called like a service must not be taken for it.
        command=[sys.executable, "-P", "-m", name],
        address=system.service_url(name, replica),
        environment=service_environment(system, name, replica),
        # A service drains within 10 s.
        stop_seconds_max=15,
        niceness=NICENESS.get(name, 0),
    )


def service_environment(system: System, name: str, replica: int = 1) -> dict[str, str]:
    """What one replica of a service is told. Secrets are paths of files, so that no list of processes shows them."""
    folder = system.layout.run / name
    environment = {
        "HOST": LOOPBACK,
        "PORT": str(system.ports.service(name, replica)),
        "ENVIRONMENT": "development",
        "SERVICE_KEY_FILE": str(folder / "service-key.jwk"),
        "SERVICE_KEYS_FILE": str(folder / "service-keys.jwks"),
        **{
            f"{peer.upper()}_URL": ",".join(f"http://{LOOPBACK}:{port}" for port in system.service_ports(name, peer))
            for peer in PEERS
        },
    }
    if name in system.credentials.databases:
        environment["DATABASE_URL_FILE"] = str(folder / "database-url")
        environment["EVENTS_URL_FILE"] = str(folder / "events-url")
        environment["DATABASE_OWNER_URL_FILE"] = str(folder / "database-owner-url")
    return environment | _own_environment(system, name)


def _own_environment(system: System, name: str) -> dict[str, str]:
    match name:
        case "users":
            return {
                "ADMIN_EMAIL": system.credentials.administrator_email,
                "ADMIN_PASSWORD_FILE": str(system.layout.run / "users" / "administrator-password"),
                "KEY_ENCRYPTION_KEYS_FILE": str(system.layout.run / "users" / "key-encryption-keys"),
            }
        case "catalog":
            return {"DEMO_SHOP": str(demo_shop())}
        case "notifications":
            return {
                "SMTP_HOST": LOOPBACK,
                "SMTP_PORT": str(system.ports.smtp),
                "MAIL_FROM": "Cartwright <shop@cartwright.example>",
            }
        case "audit":
            return {"DATA_DIR": str(system.layout.audit)}
        case _:
            return {}


def demo_shop() -> Path:
    """The goods that a new system starts with: a data file beside catalog's package."""
    spec = importlib.util.find_spec("catalog")
    assert spec is not None, "the services are installed with the command"
    assert spec.origin is not None
    return Path(spec.origin).parent / "demo-shop.json"


def inherited_environment() -> dict[str, str]:
    """The part of this process's environment that all parts share.

    Not the whole: a DATABASE_URL meant for something else must not reach a service.
    """
    return {
        name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
