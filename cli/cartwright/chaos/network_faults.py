"""The ways between the parts that can be made to fail: a proxy on each, which the system is told to take."""

from collections.abc import Mapping, Sequence

from cartwright.launcher.layout import SERVICES_WITH_DATABASE, Ports, part_name
from cartwright.testkit.proxy import Proxy

CLIENTS = "clients"
GATEWAY = "gateway"
NATS_CLIENTS = SERVICES_WITH_DATABASE
CALLS = {
    "orders": ("users", "catalog", "payments"),
    "storefront": ("orders", "payments", "notifications"),
    GATEWAY: ("users", "catalog", "orders", "payments"),
}
"""Who calls which services. Keys are asked for too seldom for a failure to be noticed."""


class FaultyNetwork:
    """All proxies of a run, by who calls and which part. An async context manager."""

    def __init__(self, ports: Ports) -> None:
        self._proxies = {link: Proxy(port) for link, port in _ports_by_link(ports).items()}
        self.proxy_ports: dict[tuple[str, str], int] = {}

    async def __aenter__(self) -> "FaultyNetwork":
        for link, proxy in self._proxies.items():
            self.proxy_ports[link] = await proxy.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for proxy in self._proxies.values():
            await proxy.stop()

    @property
    def by_name(self) -> Mapping[str, Proxy]:
        return {named(*link): proxy for link, proxy in self._proxies.items()}


def names(ports: Ports) -> Sequence[str]:
    return [named(*link) for link in _ports_by_link(ports)]


def named(caller: str, part: str) -> str:
    return f"{caller} > {part}"


def _ports_by_link(ports: Ports) -> dict[tuple[str, str], int]:
    return {
        **{(service, "postgres"): ports.postgres for service in SERVICES_WITH_DATABASE},
        **{(service, "nats"): ports.nats for service in NATS_CLIENTS},
        **{
            (caller, part_name(service, replica)): ports.service(service, replica)
            for caller, services in CALLS.items()
            for service in services
            for replica in range(1, ports.replicas + 1)
        },
        (CLIENTS, GATEWAY): ports.gateway,
    }
