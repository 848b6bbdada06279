"""The system with RabbitMQ in place of NATS: it buys, survives its broker's death, and keeps every promise."""

import json
import os
import secrets
import signal
import uuid
from collections.abc import Callable, Iterator

import pytest
from tests.e2e.conftest import PASSWORD, look

from cartwright.launcher import api, rabbitmq
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.layout import STREAM
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import RabbitServer, running_rabbit, wait_until
from cartwright.testkit.system import SystemUnderTest, running_system

Buy = Callable[..., Answer]


@pytest.fixture(scope="module")
def broker(reaper: Reaper) -> Iterator[RabbitServer]:
    if rabbitmq.program() is None:
        pytest.skip(f"RabbitMQ is not installed: {rabbitmq.INSTALL}")
    with running_rabbit(reaper) as server:
        yield server


@pytest.fixture(scope="module")
def over_rabbitmq(
    tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, broker: RabbitServer
) -> Iterator[SystemUnderTest]:
    folder = tmp_path_factory.mktemp("over-rabbitmq") / "data"
    with running_system(folder, reaper, events_url=broker.url(STREAM)) as running:
        yield running


@pytest.fixture(scope="module")
def buyer(over_rabbitmq: SystemUnderTest) -> Api:
    gateway = api.gateway(over_rabbitmq.opened())
    email = f"ada-{secrets.token_hex(6)}@example.com"
    assert gateway.post("/users", {"email": email, "name": "Ada", "password": PASSWORD}).status == 201
    return gateway.signed_in(email, PASSWORD)


@pytest.fixture
def order(buyer: Api, buy: Buy) -> Callable[[], str]:
    """Buys one of what there is most of; answers the order's path."""

    def purchase() -> str:
        products = buyer.get("/products?limit=50").json["items"]
        product = max(products, key=lambda product: int(product["stock"]))["id"]
        answer = buy(buyer, {product: 1})
        assert (answer.status, answer.json["status"]) == (201, "confirmed"), answer.json
        return f"/orders/{answer.json['id']}"

    return purchase


def _cancel(buyer: Api, path: str) -> None:
    answer = buyer.post(f"{path}/cancel", {}, {"Idempotency-Key": str(uuid.uuid4())})
    assert answer.status in {200, 202}, answer.json
    wait_until(lambda: buyer.get(path).json["status"] == "cancelled", "the order is cancelled")


def _verify(system: SystemUnderTest) -> None:
    verified = system.attempt("verify", "--json", "--wait", "60")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)


def test_no_broker_comes_along_where_there_is_one_already(over_rabbitmq: SystemUnderTest) -> None:
    parts = look(over_rabbitmq)
    assert "nats" not in parts
    assert {view.state for view in parts.values()} == {"ready"}


@pytest.mark.timeout(300)
def test_all_promises_hold_over_rabbitmq_though_it_dies_and_loses_its_store(
    over_rabbitmq: SystemUnderTest, broker: RabbitServer, buyer: Api, order: Callable[[], str]
) -> None:
    bought = [order() for _ in range(3)]
    _cancel(buyer, bought[0])
    broker.kill()
    bought += [order() for _ in range(3)]
    _cancel(buyer, bought[3])
    broker.start()
    bought += [order() for _ in range(3)]
    _verify(over_rabbitmq)
    broker.kill()
    broker.lose_store()
    broker.start()
    bought += [order() for _ in range(3)]
    _cancel(buyer, bought[-1])
    over_rabbitmq.run("events", "replay", "--since", "2020-01-01", "--why", "The broker lost its store.")
    _verify(over_rabbitmq)


def test_a_broker_that_hangs_holds_up_no_purchase(
    over_rabbitmq: SystemUnderTest, broker: RabbitServer, order: Callable[[], str]
) -> None:
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        order()
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    _verify(over_rabbitmq)
