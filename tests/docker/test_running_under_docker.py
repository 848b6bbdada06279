"""The system as `make docker-up` starts it: what README says can be bought there, and its containers are bounded."""

import json
import re
import subprocess
import urllib.request
from typing import Any

import pytest
from tests.docker.compose_system import (
    GATEWAY_PORT,
    MAILBOX_PORT,
    PROJECT,
    PROMETHEUS_PORT,
    ROOT,
    VERSION,
    ComposeSystem,
)
from tests.docker.test_compose_file import COMPOSE, DATABASES, OURS, PARTS

from cartwright.compose import names
from cartwright.launcher.api import Api
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

ANSWER_S_MAX = 60
CONNECT_S_MAX = 2
ACCOUNT = ("ada@example.com", "correct horse battery")
STARTED = sorted(name for name, part in PARTS.items() if "profiles" not in part)
PUBLISHED = {
    "gateway": {("", GATEWAY_PORT)},
    "mailpit": {("127.0.0.1", MAILBOX_PORT)},
    "prometheus": {("127.0.0.1", PROMETHEUS_PORT)},
}
# Where the image's first process is root, to hand the volume over, another one does the work.
AT_WORK = dict.fromkeys(DATABASES, "postgres") | {"rabbitmq": "beam.smp"}
# Who its process is says its image, to whose user its volume belongs.
CHOSEN_BY_IMAGE = {"prometheus"}
TOOLS_IMAGE = f"cartwright/tools:{VERSION}"
MEGABYTE = 1024 * 1024


def commands_of_readme() -> str:
    """The purchase that README tells people to try, as it stands there."""
    section = (ROOT / "README.md").read_text().partition("## Buy something yourself\n")[2]
    return section.partition("```\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def purchase(system: ComposeSystem) -> dict[str, Any]:
    """The order that the commands of README ended with."""
    commands = commands_of_readme()
    assert commands.count("http://localhost:8080") == 1, commands
    commands = commands.replace("http://localhost:8080", system.gateway_url)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        capture_output=True,
        text=True,
        timeout=ANSWER_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    head, _, body = done.stdout.replace("\r\n", "\n").rpartition("\n\n")
    assert "HTTP/1.1 201 " in head, done.stdout
    order: dict[str, Any] = json.loads(body)
    return order


@pytest.fixture(scope="module")
def buyer(system: ComposeSystem, purchase: dict[str, Any]) -> Api:
    return system.api.signed_in(*ACCOUNT)


def test_the_purchase_of_readme_works_word_for_word(purchase: dict[str, Any], buyer: Api) -> None:
    assert purchase["status"] == "confirmed"
    assert buyer.get(f"/orders/{purchase['id']}").json == purchase


def test_the_confirmation_is_in_the_mailbox(system: ComposeSystem, purchase: dict[str, Any]) -> None:
    def arrived() -> bool:
        url = f"http://127.0.0.1:{MAILBOX_PORT}"
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as page:
            return ACCOUNT[0] in page.read().decode()

    system.until(arrived, "the buyer has a mail")


def test_every_promise_holds_by_the_command_in_its_container(system: ComposeSystem, purchase: dict[str, Any]) -> None:
    assert "All promises hold." in system.make("docker-verify")


def test_every_part_of_the_file_runs_and_is_healthy(system: ComposeSystem) -> None:
    system.until_healthy()

    assert sorted(container.part for container in system.containers()) == STARTED


def test_the_data_is_there_when_every_container_is_made_anew(
    system: ComposeSystem, purchase: dict[str, Any], buyer: Api
) -> None:
    before = {container.id for container in system.containers()}
    system.compose("up", "--detach", "--force-recreate")
    system.until_healthy()

    assert not before & {container.id for container in system.containers()}
    assert buyer.get(f"/orders/{purchase['id']}").json == purchase
    assert system.api.signed_in(*ACCOUNT).get("/users/me").json["email"] == ACCOUNT[0]
    system.verify()


@pytest.mark.parametrize("part", STARTED)
def test_a_container_has_no_rights_and_a_file_system_that_it_cannot_change(system: ComposeSystem, part: str) -> None:
    container = system.container(part)

    assert container.host["ReadonlyRootfs"]
    assert [right.upper() for right in container.host["CapDrop"]] == ["ALL"]
    assert container.host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not container.host["Privileged"]
    assert system.inside(part, "sh", "-c", "echo > /written").returncode != 0


@pytest.mark.parametrize("part", STARTED)
def test_what_works_in_a_container_is_not_root_and_has_no_capability(system: ComposeSystem, part: str) -> None:
    shown = system.inside(part, "sh", "-c", "cat /proc/[0-9]*/status").stdout
    processes = [dict(re.findall(r"(\w+):\t(.*)", f"Name:{text}")) for text in shown.split("Name:")[1:]]
    # A health check may begin at that moment: until its program runs, the process is the container runtime's own.
    processes = [process for process in processes if not process["Name"].startswith("runc:")]
    at_work = [process for process in processes if process["Name"] == AT_WORK.get(part, process["Name"])]

    assert at_work
    assert all(process["NoNewPrivs"] == "1" for process in processes)
    for process in at_work:
        assert int(process["CapEff"], 16) == 0, process
        assert "0" not in process["Uid"].split() or part in CHOSEN_BY_IMAGE, process


@pytest.mark.parametrize("part", STARTED)
def test_a_container_has_bounds_and_comes_back_by_itself(system: ComposeSystem, part: str) -> None:
    host = system.container(part).host

    assert host["Memory"] == int(PARTS[part]["mem_limit"].removesuffix("m")) * MEGABYTE
    assert host["PidsLimit"] == PARTS[part]["pids_limit"]
    assert host["LogConfig"]["Type"] == "json-file"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


def test_no_port_is_open_but_those_that_are_meant(system: ComposeSystem) -> None:
    published = {
        container.part: {
            ("" if binding["HostIp"] in {"", "0.0.0.0", "::"} else binding["HostIp"], int(binding["HostPort"]))
            for bindings in container.shown["NetworkSettings"]["Ports"].values()
            for binding in bindings or ()
        }
        for container in system.containers()
    }

    assert {part: ports for part, ports in published.items() if ports} == PUBLISHED


def reaches(system: ComposeSystem, part: str, addresses: list[str]) -> list[str]:
    """Those of the addresses (host:port) that a connection from this part's container comes through to."""
    script = f"""if True:
        import asyncio, sys

        async def try_it(address):
            try:
                async with asyncio.timeout({CONNECT_S_MAX}):
                    await asyncio.open_connection(*address.rsplit(":", 1))
            except (OSError, TimeoutError):
                return
            print(address)

        async def try_all():
            await asyncio.gather(*map(try_it, sys.argv[1:]))

        asyncio.run(try_all())
    """
    done = system.inside(part, "python", "-c", script, *addresses)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reaches_its_own_database_and_no_other(system: ComposeSystem, service: str) -> None:
    own = {service} & set(SERVICES_WITH_DATABASE)
    numeric = {
        f"{place['IPAddress']}:5432": database
        for database in DATABASES
        for place in system.container(database).networks.values()
    }
    by_name = [names.database(other) for other in SERVICES_WITH_DATABASE]

    assert reaches(system, service, by_name) == [names.database(one) for one in own]
    # Nor by its address, which another network might route.
    assert {numeric[address] for address in reaches(system, service, list(numeric))} == {
        f"{one}-database" for one in own
    }


def test_only_those_with_a_published_port_have_a_way_out(system: ComposeSystem) -> None:
    ways_out = {f"{PROJECT}_{name}" for name, network in COMPOSE["networks"].items() if not network.get("internal")}

    assert {container.part for container in system.containers() if ways_out & container.networks.keys()} == set(
        PUBLISHED
    )


def test_an_image_of_ours_has_no_way_to_install_or_build_anything(system: ComposeSystem) -> None:
    for part in OURS - {"tools"}:
        found = system.inside(part, "sh", "-c", "command -v pip pip3 gcc cc make curl; python -m pip --version")
        assert not found.stdout, part


def test_a_process_that_dies_by_itself_is_started_again_by_docker(system: ComposeSystem) -> None:
    """`docker kill` is no crash: this is one, by a signal from outside of the container."""
    for part in ("gateway", "orders", "orders-database", "rabbitmq"):
        before = system.container(part)
        kill = f"import os; os.kill({before.pid}, 9)"
        system.docker(
            *("run", "--rm", "--pid", "host", "--user", "0", "--network", "none", "--entrypoint", "python"),
            *(TOOLS_IMAGE, "-c", kill),
        )
        system.until(lambda part=part, pid=before.pid: system.container(part).pid not in {0, pid}, f"{part} is back")
    system.until_healthy()
    system.verify()


def test_the_secrets_are_for_their_owner_alone(system: ComposeSystem) -> None:
    assert (system.folder / "secrets").stat().st_mode & 0o777 == 0o700
