"""Looks whether the ports of a system are free, and says who has them when they are not."""

import contextlib
import socket

import psutil

from cartwright.launcher.errors import PortInUse
from cartwright.launcher.layout import LOOPBACK, Ports

PORT_BASE_MAX = 65_000
STEP_BETWEEN_SYSTEMS = 100


def require_free_ports(ports: Ports) -> None:
    """Raises PortInUse, which names the port, its holder where that can be known, and a base that is free."""
    for purpose, port in ports.all().items():
        if not _is_free(port):
            holder = _holder(port)
            by = f" by {holder.name()} (process {holder.pid})" if holder else ""
            raise PortInUse(
                f"Port {port}, wanted for {purpose}, is in use{by}. "
                f"Stop that, or choose other ports: --port {free_base(ports.base, ports.replicas)}"
            )


def free_base(base: int, replicas: int = 1) -> int:
    """The next base port, in steps, from which on every port of a system is free."""
    candidates = (base + STEP_BETWEEN_SYSTEMS * step for step in range(1, 100))
    for candidate in candidates:
        ports = Ports(candidate, replicas).all().values()
        if candidate <= PORT_BASE_MAX and all(_is_free(port) for port in ports):
            return candidate
    return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of closed connections does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return psutil.Process(connection.pid)
    return None
