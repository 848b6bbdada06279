"""Whose address counts: the connection's, unless a proxy that is trusted tells another one."""

import pytest

from cartwright.launcher.envoy import Limits
from cartwright.launcher.trusted_proxies import parse_trusted_proxies

GUESSES = Limits(guesses_per_second=1)
HSTS = "strict-transport-security"


def told_address(gateway, **headers):
    """The client's address as a service is told."""
    return gateway.ask("GET", "/api/products", **headers).json["headers"]["x-client-address"]


@pytest.fixture(scope="module")
def behind_two_hops(start_gateway):
    return start_gateway(trusted_proxies=parse_trusted_proxies("2"))


@pytest.fixture(scope="module")
def behind_networks(start_gateway):
    return start_gateway(trusted_proxies=parse_trusted_proxies("127.0.0.0/8, 10.0.0.0/8, fd00::/8"))


@pytest.fixture(scope="module")
def behind_other_networks(start_gateway):
    return start_gateway(trusted_proxies=parse_trusted_proxies("10.0.0.0/8"))


def test_without_trusted_proxies_a_client_cannot_choose_its_address(gateway):
    assert told_address(gateway) == "127.0.0.1"
    assert told_address(gateway, x_forwarded_for="203.0.113.7") == "127.0.0.1"
    assert told_address(gateway, x_client_address="203.0.113.7") == "127.0.0.1"
    assert told_address(gateway, x_envoy_external_address="203.0.113.7") == "127.0.0.1"


def test_of_two_hops_the_first_has_seen_the_client(behind_two_hops):
    assert told_address(behind_two_hops, x_forwarded_for="198.51.100.1, 203.0.113.7, 10.0.0.9") == "203.0.113.7"


def test_an_address_from_a_network_that_is_trusted_is_a_proxy_and_any_other_is_the_client(behind_networks):
    assert told_address(behind_networks, x_forwarded_for="198.51.100.1, 203.0.113.7, 10.0.0.9") == "203.0.113.7"
    assert told_address(behind_networks, x_forwarded_for="2001:db8::1, fd00::5") == "2001:db8::1"


def test_a_peer_outside_of_the_trusted_networks_is_the_client_itself(behind_other_networks):
    assert told_address(behind_other_networks, x_forwarded_for="203.0.113.7") == "127.0.0.1"


@pytest.mark.parametrize("forwarded", ["nonsense", "", "300.1.1.1"])
def test_an_address_that_cannot_be_read_is_no_address(behind_networks, behind_two_hops, forwarded):
    for gateway in (behind_networks, behind_two_hops):
        assert told_address(gateway, x_forwarded_for=forwarded) == "127.0.0.1"


def test_a_client_cannot_set_the_header_behind_a_trusted_proxy_either(behind_networks):
    told = told_address(behind_networks, x_forwarded_for="203.0.113.7", x_client_address="198.51.100.1")

    assert told == "203.0.113.7"


def test_clients_behind_one_trusted_proxy_have_a_rate_limit_each(start_gateway):
    gateway = start_gateway(trusted_proxies=parse_trusted_proxies("127.0.0.1"), rate_limit=50, limits=GUESSES)

    def statuses(address):
        return [gateway.ask("POST", "/api/auth/token", body=b"x", x_forwarded_for=address).status for _ in range(6)]

    assert 429 in statuses("203.0.113.7")
    assert statuses("203.0.113.8")[:2] == [200, 200]
    # One client has a whole /64 of IPv6.
    assert 429 in statuses("2001:db8::1")
    assert 429 in statuses("2001:db8::2")[:1]


def test_the_log_names_the_client_and_not_the_proxy(behind_networks, eventually):
    behind_networks.ask("GET", "/api/products", x_forwarded_for="203.0.113.7", x_request_id="through-a-proxy")
    line = eventually(
        lambda: [line for line in behind_networks.access_log() if line["correlation_id"] == "through-a-proxy"]
    )[0]

    assert line["remote_address"] == "203.0.113.7"


@pytest.mark.parametrize("path", ["/api/products", "/api/orders", "/health", "/nothing"])
def test_browsers_are_told_to_stay_with_https_where_a_trusted_proxy_has_served_it(behind_networks, gateway, path):
    def hsts(of, scheme):
        return of.ask("GET", path, x_forwarded_proto=scheme, x_forwarded_for="203.0.113.7").headers.get(HSTS)

    assert hsts(behind_networks, "https") == "max-age=31536000"
    assert hsts(behind_networks, "http") is None
    assert hsts(gateway, "https") is None


@pytest.mark.parametrize("text", ["-1", "11", "10.0.0.1/8", "10.0.0.0/33", "proxy", "1,", "2, 10.0.0.0/8"])
def test_a_setting_that_names_no_proxies_is_refused_in_clear_words(text):
    with pytest.raises(ValueError, match="prox"):
        parse_trusted_proxies(text)


@pytest.mark.parametrize("text", ["", "0", " "])
def test_by_default_no_proxy_is_trusted(text):
    assert parse_trusted_proxies(text) is None
