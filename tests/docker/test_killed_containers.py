"""Each container is killed while customers buy: nothing that was answered is lost, nothing happens twice."""

import pytest
from tests.docker.compose_system import ComposeSystem
from tests.docker.conftest import StartBuying
from tests.docker.test_compose_file import PARTS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

BOUGHT_BEFORE = 5
AWAY_S = 1.0
STARTED = sorted(name for name, part in PARTS.items() if "profiles" not in part)


@pytest.mark.parametrize("part", STARTED)
def test_a_container_is_killed_and_started_again_while_customers_buy(
    system: ComposeSystem, buying: StartBuying, part: str
) -> None:
    with buying() as customers:
        customers.until_bought(BOUGHT_BEFORE)
        container = system.container(part)
        system.kill(container)
        customers.go_on_for(AWAY_S)
        # Docker takes a kill for the operator's wish, so it is the operator who starts it again.
        system.start(container)
        customers.until_well()
        system.until_healthy(part)
