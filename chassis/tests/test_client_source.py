"""The source of a request: as the gateway tells it, and a whole IPv6 /64 is one."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from chassis.security.client_source import source_of


def source(header: str | None, peer: str | None = "10.0.0.5") -> str:
    headers = {} if header is None else {"x-client-address": header}
    client = None if peer is None else SimpleNamespace(host=peer)
    return source_of(cast("Any", SimpleNamespace(headers=headers, client=client)))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("nonsense", "unknown"),
        (None, "10.0.0.5"),
    ],
)
def test_the_source_is_the_network_that_a_household_has(header: str | None, expected: str) -> None:
    assert source(header) == expected


def test_a_request_of_no_known_address_has_one_source_with_all_others_like_it() -> None:
    assert source(None, peer=None) == "unknown"
