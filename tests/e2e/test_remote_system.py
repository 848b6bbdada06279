"""Commands that speak to a system which was started otherwise, such as under Docker Compose: a file tells of it."""

import secrets
from pathlib import Path

import msgspec
import pytest

from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE
from cartwright.launcher.remote_system import RemoteSystem
from cartwright.testkit.system import SystemUnderTest

NOWHERE = "http://127.0.0.1:1"


def told_of(system: SystemUnderTest, gateway_url: str) -> RemoteSystem:
    opened = system.opened()
    return RemoteSystem(
        gateway_url=gateway_url,
        services={service: opened.service_url(service) for service in SERVICES},
        readers={service: opened.reader_url(service) for service in SERVICES_WITH_DATABASE},
        administrator_email=opened.administrator_email,
        administrator_password=opened.administrator_password,
    )


def written(path: Path, system: RemoteSystem) -> Path:
    path.write_bytes(msgspec.json.encode(system))
    return path


@pytest.fixture
def remote_system(system: SystemUnderTest, tmp_path: Path) -> SystemUnderTest:
    """The shared system, as a client that did not start it knows it."""
    file = written(tmp_path / "system.json", told_of(system, system.opened().gateway_url))
    return SystemUnderTest(file, system.port)


def test_the_demo_succeeds_on_a_remote_system(remote_system: SystemUnderTest) -> None:
    assert "All of it came out as promised" in remote_system.run("demo").stdout


def test_every_promise_is_checked_on_a_remote_system(remote_system: SystemUnderTest) -> None:
    assert "All promises hold." in remote_system.run("verify").stdout


def test_an_operator_calls_the_services_of_a_remote_system(remote_system: SystemUnderTest) -> None:
    assert "There are no dead letters." in remote_system.run("dead-letters", "list").stdout


def test_a_token_is_an_account_s_and_stays_so_with_nothing_kept(remote_system: SystemUnderTest) -> None:
    email = f"ada-{secrets.token_hex(4)}@example.com"
    first = remote_system.token(email, admin=True)
    second = remote_system.token(email)

    assert first.count(".") == second.count(".") == 2
    assert [path.name for path in remote_system.data.parent.iterdir()] == ["system.json"]


def test_an_account_with_a_password_of_its_own_is_left_alone(
    remote_system: SystemUnderTest, system: SystemUnderTest
) -> None:
    email = f"ada-{secrets.token_hex(4)}@example.com"
    system.token(email)
    refused = remote_system.attempt("token", "--email", email)

    assert refused.returncode == 1
    assert f"{email} has an account that was not made by this command" in refused.stderr


def test_the_gateway_is_where_url_says(system: SystemUnderTest, tmp_path: Path) -> None:
    inside = SystemUnderTest(written(tmp_path / "system.json", told_of(system, NOWHERE)), system.port)
    email = f"ada-{secrets.token_hex(4)}@example.com"

    assert inside.attempt("token", "--email", email).returncode == 1
    assert inside.run("token", "--email", email, "--url", system.opened().gateway_url).stdout.count(".") == 2


@pytest.mark.parametrize("text", ["", "{}", '{"gateway_url": 1}'])
def test_a_file_that_tells_of_no_system_is_refused(system: SystemUnderTest, tmp_path: Path, text: str) -> None:
    file = tmp_path / "system.json"
    file.write_text(text)
    refused = SystemUnderTest(file, system.port).attempt("verify")

    assert refused.returncode == 2
    assert refused.stderr.startswith(f"cartwright: {file} does not tell of a system")
