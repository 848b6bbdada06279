"""More than one of a service: both work, and one of another version takes the place of the old one without a pause."""

from collections.abc import Iterator

import pytest
from tests.docker.buyers import Buying
from tests.docker.compose_system import VERSION, ComposeSystem, Container
from tests.docker.conftest import StartBuying

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

NEXT = f"{VERSION}-next"
BOUGHT_BETWEEN = 20
# One that customers call, one that services call. The others take half a minute each and are no different.
UPGRADED = ("orders", "catalog")


@pytest.fixture
def back_to_one(system: ComposeSystem) -> Iterator[None]:
    """Whatever a test leaves, the next one finds a container of each part, of the version of all."""
    yield
    system.compose("up", "--detach", "--remove-orphans")
    system.until_healthy()


def begun(system: ComposeSystem, container: Container) -> int:
    """How many purchases this replica of orders has answered."""
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/metrics', timeout=5).read().decode())"
    done = system.attempt(["docker", "exec", container.id, "python", "-c", script])
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if 'method="POST"' in line and 'path="/orders"' in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if "_count" in line)


def unanswered(customers: Buying) -> list[str]:
    """The purchases that came to nothing definite, which is what a customer takes for a shop that is down."""
    return [
        f"{call.at_s} s: {call.status} {call.trouble}"
        for call in customers.calls()
        if call.what == "buy" and call.is_unknown
    ]


@pytest.mark.usefixtures("back_to_one")
def test_two_replicas_of_orders_share_the_purchases(system: ComposeSystem, buying: StartBuying) -> None:
    with buying() as customers:
        system.compose("up", "--detach", "--no-recreate", "--scale", "orders=2")
        system.until_healthy("orders")
        replicas = system.containers("orders")
        customers.until_bought(BOUGHT_BETWEEN)
        system.until(lambda: all(begun(system, replica) for replica in replicas), "both have answered purchases")
    assert len(replicas) == 2
    assert not unanswered(customers)


@pytest.mark.usefixtures("back_to_one")
@pytest.mark.parametrize("service", UPGRADED)
def test_a_service_is_upgraded_alone_and_no_purchase_fails(
    system: ComposeSystem, buying: StartBuying, service: str
) -> None:
    old = system.container(service)
    others = {container.id for container in system.containers()} - {old.id}
    with buying() as customers:
        customers.until_bought(BOUGHT_BETWEEN)
        # As README says.
        arguments = ("--build", "--no-deps", "--no-recreate", "--scale", f"{service}=2", service)
        system.compose("up", "--detach", *arguments, CARTWRIGHT_VERSION=NEXT)
        system.until_healthy(service)
        customers.until_bought(BOUGHT_BETWEEN)
        system.docker("stop", old.id)
        system.docker("rm", old.id)
        customers.until_bought(BOUGHT_BETWEEN)
    new = system.containers(service)

    assert [container.image for container in new] == [f"cartwright/{service}:{NEXT}"]
    assert others <= {container.id for container in system.containers()}
    assert not unanswered(customers)
