"""A flash sale: many more buyers than units, all at once, over two replicas of every service.

Exactly the available units are sold, every other buyer gets a refusal, and no request waits for ever. The same
holds when one replica of each service freezes during the sale, past every lease, and wakes again.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from cartwright.launcher import api, supervisor
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.system import SystemUnderTest, running_system
from cartwright.verifier.reads import Report, verify

PEOPLE = 10
PASSWORD = "correct horse battery staple"
BUYING_AT_ONCE = 256
# Who waits longer asks again.
ANSWER_S_MAX = 5.0
PURCHASE_S_MAX = 90.0
PAUSE_S = 0.2
# Longer than the leases of orders and relays, and than a server waits for an idle transaction.
FROZEN_S = 8.0
QUIET_S_MAX = 120.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Iterator[SystemUnderTest]:
    with running_system(tmp_path_factory.mktemp("two-replicas") / "data", reaper, replicas=2) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(shop: SystemUnderTest) -> list[str]:
    """The access tokens of some people. A buyer is one of them with a key of its own."""
    gateway = api.gateway(shop.opened())
    made = []
    for _ in range(PEOPLE):
        email = f"ada-{secrets.token_hex(6)}@example.com"
        api.require(gateway.post("/users", {"email": email, "name": "Ada", "password": PASSWORD}), "registering")
        made.append(str(gateway.signed_in(email, PASSWORD).access_token))
    return made


@dataclass
class Sale:
    """One product, whose stock is all that there will ever be. Calls `on_the_way` when a third has an answer."""

    shop: SystemUnderTest
    tokens: list[str]
    units: int
    buyers: int

    def __post_init__(self) -> None:
        product = {
            "sku": f"SALE-{secrets.token_hex(6)}",
            "name": "A lamp, today only",
            "price": {"amount": "9.99", "currency": "USD"},
            "stock": self.units,
        }
        answer = api.administrator(self.shop.opened()).post("/products", product)
        api.require(answer, "putting a product into the shop")
        self.product = str(answer.json["id"])
        self.answers: Counter[tuple[int, str]] = Counter()
        self.a_third_is_answered = asyncio.Event()

    async def run(self) -> None:
        """Return once every buyer has a definite answer."""
        numbers = iter(range(self.buyers))
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=BUYING_AT_ONCE), timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX)
        ) as http:

            async def buy_for_some() -> None:
                for number in numbers:
                    async with asyncio.timeout(PURCHASE_S_MAX):
                        self.answers[await self._definite_answer(http, self.tokens[number % PEOPLE])] += 1
                    if self.answers.total() >= self.buyers // 3:
                        self.a_third_is_answered.set()

            async with asyncio.TaskGroup() as group:
                for _ in range(min(BUYING_AT_ONCE, self.buyers)):
                    group.create_task(buy_for_some())

    async def _definite_answer(self, http: aiohttp.ClientSession, token: str) -> tuple[int, str]:
        """Status and code; repeats the request with the same key while the outcome is unknown."""
        headers = {"authorization": f"Bearer {token}", "idempotency-key": str(uuid.uuid4())}
        body = {"items": [{"product_id": self.product, "quantity": 1}]}
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.post(f"{self.shop.gateway}/api/orders", json=body, headers=headers) as response:
                    answer: dict[str, Any] = await response.json(content_type=None)
                code = str(answer.get("code", answer.get("status")))
                if response.status != 202 and response.status < 500 and code != "key_in_progress":
                    return response.status, code
            await asyncio.sleep(PAUSE_S)

    async def report(self) -> Report:
        system = self.shop.opened()
        return await verify({name: system.reader_url(name) for name in SERVICES_WITH_DATABASE}, wait_s=QUIET_S_MAX)

    async def assert_sold_out(self) -> None:
        """So many buyers have a unit as there were, all others were told, and the data says the same."""
        assert self.answers == {(201, "confirmed"): self.units, (409, "out_of_stock"): self.buyers - self.units}
        assert api.gateway(self.shop.opened()).get(f"/products/{self.product}").json["stock"] == 0
        report = await self.report()
        assert report.holds, [verdict for verdict in report.verdicts if not verdict.holds]
        assert report.in_flight == {}


@contextlib.asynccontextmanager
async def frozen(pids: list[int]) -> AsyncIterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def orders_placed_by(shop: SystemUnderTest, replica: str) -> int:
    return shop.opened().layout.log(replica).read_text().count('"event":"order placed"')


@pytest.mark.timeout(240)
async def test_five_hundred_buyers_share_twenty_units(shop: SystemUnderTest, tokens: list[str]) -> None:
    sale = Sale(shop, tokens, units=20, buyers=500)
    await sale.run()
    await sale.assert_sold_out()
    assert all(orders_placed_by(shop, replica) for replica in ("orders", "orders-2"))


@pytest.mark.matrix
@pytest.mark.timeout(300)
async def test_a_replica_of_each_service_freezes_in_a_sale_and_wakes_after_its_leases(
    shop: SystemUnderTest, tokens: list[str]
) -> None:
    sale = Sale(shop, tokens, units=1_000, buyers=1_500)
    states = supervisor.part_states(shop.opened())
    running = asyncio.create_task(sale.run())
    await sale.a_third_is_answered.wait()
    async with frozen([states[service].pid for service in SERVICES]):
        await asyncio.sleep(FROZEN_S)
    await running
    await sale.assert_sold_out()
    # No process died: the frozen ones run again.
    assert supervisor.part_states(shop.opened()) == states


@pytest.mark.matrix
@pytest.mark.timeout(400)
async def test_ten_thousand_buyers_share_a_hundred_units(shop: SystemUnderTest, tokens: list[str]) -> None:
    sale = Sale(shop, tokens, units=100, buyers=10_000)
    await sale.run()
    await sale.assert_sold_out()
