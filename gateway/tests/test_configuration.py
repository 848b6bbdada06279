"""One template for every way to run: each form of it is one that Envoy accepts."""

import http.client
from dataclasses import replace

import pytest
import yaml

from cartwright.launcher.envoy import (
    SERVICES,
    Address,
    ConfigurationRefused,
    Gateway,
    Traces,
    command,
    render,
    validate,
)

EMBEDDED = Gateway(
    listen=Address("127.0.0.1", 8080),
    admin=Address("127.0.0.1", 8081),
    upstreams={name: [Address("127.0.0.1", 8091 + number)] for number, name in enumerate(SERVICES)},
)
CONTAINERS = replace(
    EMBEDDED,
    listen=Address("0.0.0.0", 8080),
    upstreams={name: [Address(name, 8080)] for name in SERVICES},
)
REPLICAS = replace(
    EMBEDDED, upstreams={**EMBEDDED.upstreams, "orders": [Address("127.0.0.1", 8093), Address("127.0.0.1", 8103)]}
)

FORMS = {
    "embedded": EMBEDDED,
    "containers": CONTAINERS,
    "replicas": REPLICAS,
    "without rate limits": replace(EMBEDDED, rate_limit=None),
    "with traces": replace(EMBEDDED, traces=Traces(Address("collector", 4318), ratio=0.1)),
    "IPv6": replace(EMBEDDED, listen=Address("::1", 8080)),
}


def clusters(gateway):
    return {cluster["name"]: cluster for cluster in yaml.safe_load(render(gateway))["static_resources"]["clusters"]}


@pytest.mark.parametrize("form", FORMS)
def test_envoy_accepts_the_configuration(tmp_path, form):
    configuration = tmp_path / "envoy.yaml"
    configuration.write_text(render(FORMS[form]))

    validate(configuration)


def test_a_configuration_that_envoy_refuses_is_refused_in_its_words(tmp_path):
    configuration = tmp_path / "envoy.yaml"
    configuration.write_text(render(EMBEDDED).replace("stat_prefix: gateway", "stat_prefix: ''"))

    with pytest.raises(ConfigurationRefused, match="StatPrefix"):
        validate(configuration)


def test_names_are_looked_up_and_addresses_are_not():
    assert {cluster["type"] for cluster in clusters(EMBEDDED).values()} == {"STATIC"}
    assert {cluster["type"] for cluster in clusters(CONTAINERS).values()} == {"STRICT_DNS"}
    mixed = [Address("127.0.0.1", 8093), Address("orders", 8080)]
    assert (
        clusters(replace(EMBEDDED, upstreams={**EMBEDDED.upstreams, "orders": mixed}))["orders"]["type"] == "STRICT_DNS"
    )


def test_every_replica_is_an_endpoint():
    (locality,) = clusters(REPLICAS)["orders"]["load_assignment"]["endpoints"]

    assert len(locality["lb_endpoints"]) == 2


def test_a_service_without_an_address_is_a_mistake():
    with pytest.raises(AssertionError, match="orders"):
        render(replace(EMBEDDED, upstreams={name: [] for name in SERVICES if name != "orders"}))


def test_an_address_cannot_break_out_of_its_place():
    rendered = render(replace(EMBEDDED, issuer='a"}, b: {"'))

    assert yaml.safe_load(rendered)["static_resources"]["listeners"]


def test_two_systems_share_nothing():
    assert "--disable-hot-restart" in command(configuration=None)


@pytest.mark.parametrize("path", ["/quitquitquit", "/healthcheck/fail", "/runtime_modify", "/config_dump", "/"])
def test_the_admin_port_changes_nothing(gateway, path):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin_port, timeout=10)
    connection.request("POST", path)

    assert connection.getresponse().status == 403
    connection.close()
    assert gateway.is_up()
