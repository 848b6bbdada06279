"""Where things are: the other commands, the gateway and people rely on it."""

import pytest

from cartwright.launcher.layout import REPLICAS_MAX, SERVICES, Ports
from cartwright.launcher.listening import STEP_BETWEEN_SYSTEMS


def test_every_part_has_a_port_of_its_own() -> None:
    ports = list(Ports(8080).all().values())
    assert len(set(ports)) == len(ports)


def test_the_gateway_is_at_the_base_port() -> None:
    assert Ports(9000).gateway == 9000


@pytest.mark.parametrize(("service", "port"), [(name, 8091 + index) for index, name in enumerate(SERVICES)])
def test_services_follow_the_gateway_in_their_known_order(service: str, port: int) -> None:
    assert Ports(8080).service(service) == port


def test_each_further_replica_listens_ten_ports_higher() -> None:
    ports = Ports(8080, replicas=3).all()
    assert [ports[part] for part in ("users", "users-2", "users-3")] == [8091, 8101, 8111]


def test_two_systems_a_step_apart_share_no_port() -> None:
    first = list(Ports(8080, REPLICAS_MAX).all().values())
    second = list(Ports(8080 + STEP_BETWEEN_SYSTEMS, REPLICAS_MAX).all().values())
    assert len(set(first + second)) == len(first) + len(second)
