"""A port in use is said plainly, with the way out."""

import os
import socket

import pytest

from cartwright.launcher.errors import PortInUse
from cartwright.launcher.layout import LOOPBACK, Ports
from cartwright.launcher.listening import free_base, require_free_ports


def test_free_ports_are_fine() -> None:
    require_free_ports(Ports(free_base(21_000)))


@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])
def test_a_port_in_use_is_named_with_its_holder_and_a_free_choice(host: str) -> None:
    base = free_base(22_000)
    with socket.socket() as other:
        other.bind((host, Ports(base).nats))
        other.listen()
        with pytest.raises(PortInUse) as told:
            require_free_ports(Ports(base))
    assert f"Port {Ports(base).nats}, wanted for nats" in str(told.value)
    assert f"process {os.getpid()}" in str(told.value)
    assert "--port" in str(told.value)
