"""Runs a service: settings, logs, traces, and uvicorn, which drains on SIGTERM."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TypeVar

import uvicorn
from litestar import Litestar

from chassis import failpoint
from chassis.settings import SettingsError, StatelessSettings, read_settings
from chassis.telemetry import logs, tracing

DRAIN_S_MAX = 5
GC_ALLOCATIONS = 10_000
"""So many more objects that may be in a cycle than there were, before the collector looks for cycles among them."""
SettingsT = TypeVar("SettingsT", bound=StatelessSettings)


def run(service: str, shape: type[SettingsT], build: Callable[[SettingsT], Litestar]) -> None:
    """Read the settings from the environment, build the application, and serve until told to stop."""
    try:
        settings = read_settings(shape, os.environ)
    except SettingsError as error:
        sys.exit(f"{service}: {error}")
    logs.configure(service, settings.log_level)
    failpoint.arm(service, settings)
    end_tracing = tracing.configure(
        service,
        settings.otel_exporter_otlp_endpoint,
        settings.otel_traces_sampler_arg,
        instance=f"{socket.gethostname()}:{settings.port}",
    )
    # uvicorn drains on SIGTERM and then raises it again, to die of it. An orderly stop has to end with status zero.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    application = build(settings)
    _settle()
    try:
        uvicorn.run(
            application,
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # Nothing here asks for the client's address.
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S_MAX,
            backlog=2_048,
        )
    finally:
        end_tracing()


def _settle() -> None:
    """Have the collector of cycles leave alone what was made at the start, and come less often: requests leave few."""
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS)
