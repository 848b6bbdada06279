"""Each network is taken away for a while as customers buy: what was answered holds, and all goes on by itself."""

import pytest
from tests.docker.compose_system import ComposeSystem
from tests.docker.conftest import StartBuying
from tests.docker.test_compose_file import COMPOSE

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

BOUGHT_BEFORE = 5
CUT_S = 5.0


@pytest.mark.parametrize("network", sorted(COMPOSE["networks"]))
def test_a_network_is_away_for_a_while_as_customers_buy(
    system: ComposeSystem, buying: StartBuying, network: str
) -> None:
    with buying() as customers:
        customers.until_bought(BOUGHT_BEFORE)
        with system.cut(network):
            customers.go_on_for(CUT_S)
        customers.until_well()
        system.until_healthy()
