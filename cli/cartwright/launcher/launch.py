"""Starts all parts of a system at once, and makes what they need: configurations, credentials, databases."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from cartwright.launcher import envoy, nats, postgres, supervisor, tls
from cartwright.launcher.errors import StartFailed
from cartwright.launcher.layout import LOOPBACK, SERVICES
from cartwright.launcher.parts import all_parts
from cartwright.launcher.private_files import write_private
from cartwright.launcher.system import System, write_what_services_may_know
from cartwright.launcher.trusted_proxies import parse_trusted_proxies

SUPERVISOR_SECONDS_MAX = 10
POLL_SECONDS = 0.05


def launch(system: System, say: Callable[[str], None]) -> "subprocess.Popen[bytes]":
    """Starts supervisor with all parts; answers its process. Raises StartFailed, and may leave parts running then.

    On the first start the databases are made while the other parts load: these wait for what they need anyway.
    """
    layout = system.layout
    write_what_services_may_know(system)
    if (files := system.entry.tls) is not None:
        write_private(layout.tls_secret, tls.secret(Path(files.certificate), Path(files.key)))
    write_private(layout.envoy_configuration, envoy.render(_gateway(system)))
    nats.write_configuration(
        layout.nats_configuration,
        layout.nats,
        system.ports.nats,
        system.ports.nats_monitor,
        system.credentials.broker,
        logins=system.credentials.brokers,
    )
    is_first_start = not system.cluster.exists()
    if not is_first_start:
        _prepare_postgres(system)
    supervisor.write_configuration(system, without=frozenset({"postgres"} if is_first_start else ()))
    supervised = supervisor.start(system)
    if is_first_start:
        say("Making the databases: this is the first start.")
        _prepare_postgres(system)
        _start_postgres(system, supervised)
    return supervised


def _prepare_postgres(system: System) -> None:
    secret = system.credentials
    try:
        postgres.prepare(system.cluster, system.ports.postgres, secret.postgres_superuser, secret.logins())
    except (postgres.PostgresFailed, subprocess.TimeoutExpired, OSError) as error:
        raise StartFailed(f"The databases could not be made: {error}") from error
    link = system.layout.postgres
    if link != system.cluster:
        link.unlink(missing_ok=True)
        link.symlink_to(system.cluster)


def _start_postgres(system: System, supervised: "subprocess.Popen[bytes]") -> None:
    part = next(part for part in all_parts(system) if part.name == "postgres")
    deadline = time.monotonic() + SUPERVISOR_SECONDS_MAX
    while True:
        try:
            return supervisor.start_part(system, part)
        except OSError as error:
            if supervised.poll() is not None or time.monotonic() > deadline:
                raise StartFailed(f"supervisor did not start. See {system.layout.log('supervisor')}") from error
            time.sleep(POLL_SECONDS)


def _gateway(system: System) -> envoy.Gateway:
    return envoy.Gateway(
        listen=envoy.Address(LOOPBACK, system.ports.gateway),
        admin=envoy.Address(LOOPBACK, system.ports.envoy_admin),
        upstreams={
            name: [envoy.Address(LOOPBACK, port) for port in system.service_ports("gateway", name)] for name in SERVICES
        },
        rate_limit=system.rate_limit,
        trusted_proxies=parse_trusted_proxies(system.entry.trusted_proxies),
        tls_secret=None if system.entry.tls is None else system.layout.tls_secret,
        traces=_traces(
            os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""), os.environ.get("OTEL_TRACES_SAMPLER_ARG", "1")
        ),
    )


def _traces(endpoint: str, ratio: str) -> envoy.Traces | None:
    """Where the gateway sends its spans; the services read the same two variables."""
    if not endpoint:
        return None
    collector = urlsplit(endpoint)
    if collector.scheme != "http" or not collector.hostname:
        raise StartFailed(
            "OTEL_EXPORTER_OTLP_ENDPOINT has to be http://HOST:PORT. For https put a collector in between."
        )
    try:
        share = float(ratio)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise StartFailed("OTEL_TRACES_SAMPLER_ARG has to be a share from 0 to 1.")
    address = envoy.Address(collector.hostname, collector.port or 80)
    return envoy.Traces(address, f"{collector.path.rstrip('/')}/v1/traces", share)
