"""Customers who buy, cancel, ask again and go away while something happens to the system, and who judge it afterwards.

They are the customers of `cartwright chaos`, fewer of them. Each period of buying has accounts and a record of its own.
"""

import asyncio
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.docker.compose_system import ComposeSystem

from cartwright.chaos import history
from cartwright.chaos.checker import Checker, StoredOrder, StoredRefund
from cartwright.chaos.clients import Account, GatewayClient
from cartwright.chaos.history import Call, HistoryWriter
from cartwright.chaos.traffic import Health
from cartwright.chaos.workload import Client, Shop, product
from cartwright.launcher import api
from cartwright.launcher.api import Api

ACCOUNTS = 3
CLIENTS = 6
ACTIONS_PER_S_MAX = 20.0
PRODUCTS = 6
STOCK = 1_000_000
OPEN_S_MAX = 60.0
WELL_S_MAX = 90.0
SETTLE_S_MAX = 45.0
POLL_S = 0.1
PAGE = 100


class ProductRange:
    """The products on sale, created once for all periods."""

    def __init__(self, system: ComposeSystem) -> None:
        administrator = api.administrator(system.known)
        names = [f"{'HOT' if number == 0 else 'GOODS'}-{secrets.token_hex(4)}" for number in range(PRODUCTS + 1)]
        answers = [administrator.post("/products", product(name, STOCK, "9.99")) for name in names]
        assert {answer.status for answer in answers} == {201}, answers
        self.hot_product, *self.products = (str(answer.json["id"]) for answer in answers)


class Buying:
    """A period of buying, in a thread of its own: it lasts as long as the context does. `check` it then."""

    def __init__(self, system: ComposeSystem, products: ProductRange, path: Path, seed: str) -> None:
        self._system = system
        self._product_range = products
        self._path = path
        self._seed = seed
        self._health = Health()
        self._open = threading.Event()
        self._over = asyncio.Event()
        self._ended = threading.Event()
        self._outcome: Future[None] = Future()
        self._faults = 0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="buyers", daemon=True)
        self._thread.start()
        if not self._open.wait(OPEN_S_MAX) or self._outcome.done():
            self._outcome.result(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._outcome.result(SETTLE_S_MAX + POLL_S)
        self._thread.join(POLL_S)

    # --- From the test's thread

    @property
    def bought(self) -> int:
        """How many orders were accepted so far."""
        return len(self._health.accepted)

    def until_bought(self, count: int) -> None:
        """Returns once so many more were accepted."""
        wanted = self.bought + count
        self._until(lambda: self.bought >= wanted, f"{count} more orders are accepted")

    def go_on_for(self, seconds: float) -> None:
        """Lets them buy for so long, whatever comes of it."""
        if self._ended.wait(seconds):
            self._outcome.result(0)

    def until_well(self) -> None:
        """Returns once something was bought that was asked for after this moment."""
        self._faults += 1
        self._loop.call_soon_threadsafe(self._health.fault_ended, self._faults, self._line.now_s())
        number = self._faults
        self._until(lambda: number in self._health.bought_s, "one can buy again")

    def calls(self) -> list[Call]:
        """Every call with its answer; after the period."""
        return [line for line in history.read(self._path) if isinstance(line, Call)]

    def check(self) -> None:
        """Fails where an answer and what is kept differ. The system is quiet by then."""
        judge = Checker()
        for call in self.calls():
            judge.hear(call)
        for account in self._accounts:
            for view in self._orders_of(account):
                judge.see(view)
        buyers = ", ".join(f"'{account.id}'" for account in self._accounts)
        for row in self._system.query("orders", f"{_ORDERS} WHERE user_id IN ({buyers})"):
            judge.meet(StoredOrder(**row))
        ids = ", ".join(f"'{call.id}'" for call in self.calls() if call.what == "refund") or "NULL"
        for row in self._system.query("payments", f"{_REFUNDS} AND correlation_id IN ({ids})"):
            judge.add_refund(StoredRefund(**row))
        judge.conclude()
        broken = [
            (number, violation) for number, found in judge.findings.items() for violation in found.violations.values()
        ]
        assert not broken, f"{broken}\n{self.summary()}"

    def _orders_of(self, account: Account) -> Iterator[dict[str, Any]]:
        """All of them, the refused ones too, which are listed only when asked for."""
        buyer = Api(self._system.api.url, account.token)
        for which in ("", "&status=refused"):
            cursor: str | None = ""
            while cursor is not None:
                answer = buyer.get(f"/orders?limit={PAGE}{which}{cursor and f'&cursor={cursor}'}")
                assert answer.status == 200, answer
                yield from answer.json["items"]
                cursor = answer.json["next_cursor"]

    def summary(self) -> str:
        counts = Counter((call.what, call.status) for call in self.calls())
        return ", ".join(f"{what} {status}: {count}" for (what, status), count in sorted(counts.items()))

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WELL_S_MAX
        while not condition():
            if self._outcome.done():
                self._outcome.result()
            assert time.monotonic() < deadline, (
                f"after {WELL_S_MAX:.0f} s it is not so that {what}\n{self._system.last_words()}"
            )
            time.sleep(POLL_S)

    # --- In the buyers' thread

    def _run(self) -> None:
        try:
            asyncio.run(self._trade())
        except BaseException as error:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(None)
        finally:
            self._open.set()
            self._ended.set()

    async def _trade(self) -> None:
        self._loop = asyncio.get_running_loop()
        with HistoryWriter(self._path, self._health.note) as recorder:
            async with GatewayClient(self._system.api.url, recorder) as self._line:
                shop = await self._open_shop()
                self._line.begin()
                clients = [asyncio.create_task(self._go_on(client)) for client in self._clients(shop)]
                self._open.set()
                await self._over.wait()
                shop.give_up_at = time.monotonic() + SETTLE_S_MAX / 2
                async with asyncio.timeout(SETTLE_S_MAX):
                    await asyncio.gather(*clients)

    async def _open_shop(self) -> Shop:
        known = self._system.known
        administrator = Account(self._line, known.administrator_email, known.administrator_password)
        await administrator.sign_in()
        self._accounts = [
            Account(self._line, f"buyer-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18))
            for _ in range(ACCOUNTS)
        ]
        for account in self._accounts:
            await account.register()
            await account.sign_in()
        return Shop(
            self._line,
            self._accounts,
            administrator,
            products=self._product_range.products,
            hot_product=self._product_range.hot_product,
        )

    def _clients(self, shop: Shop) -> Sequence[Client]:
        return [
            Client(shop, self._accounts[number % ACCOUNTS], random.Random(f"{self._seed} {number}"))
            for number in range(CLIENTS)
        ]

    async def _go_on(self, client: Client) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            await client.turn()
            await asyncio.sleep(max(0.0, began + CLIENTS / ACTIONS_PER_S_MAX - time.monotonic()))


_ORDERS = """
    SELECT id, user_id, idempotency_key AS key, correlation_id, status, confirmed_at IS NOT NULL AS was_confirmed
    FROM orders
"""
_REFUNDS = """
    SELECT id, idempotency_key AS key, correlation_id, amount_minor
    FROM refunds
    WHERE fingerprint IS NOT NULL
"""
