"""Keeps the system busy: clients in a closed loop at a bounded rate, and a pulse that tells when it is well again.

The pulse asks four times a second whatever happens: clients that all wait for an answer could not tell.
"""

import asyncio
import contextlib
import random
import secrets
import time

from cartwright.chaos.clients import Account, GatewayClient
from cartwright.chaos.history import Call
from cartwright.chaos.revocations import Revocations
from cartwright.chaos.workload import Client, Shop, product, sell_a_few
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.system import System

ACCOUNTS = 12
CLIENTS = 48
ACTIONS_PER_S_MAX = 120.0
PULSE_S = 0.25
PULSES_AT_ONCE_MAX = 40
SECONDS_BETWEEN_FEW = 15.0
PRODUCTS = 20
STOCK = 1_000_000
HOT_STOCK = 300
SETTLE_S_MAX = 60.0


class Health:
    """What was accepted, and when after the end of each fault a purchase that began then was confirmed."""

    def __init__(self) -> None:
        self._open: dict[int, float] = {}
        self._is_well = asyncio.Event()
        self._is_well.set()
        self.bought_s: dict[int, float] = {}
        """When it was, by the fault's number."""
        self.accepted: set[str] = set()
        self.confirmed: set[str] = set()

    def fault_ended(self, number: int, at_s: float) -> None:
        self._open[number] = at_s
        self._is_well.clear()

    async def recovered(self) -> None:
        """Returns once something was bought after the end of every fault so far."""
        await self._is_well.wait()

    def note(self, call: Call) -> None:
        if call.what != "buy":
            return
        if call.status in {201, 202}:
            id_ = str(call.decoded()["id"])
            self.accepted.add(id_)
        if call.status != 201:
            return
        self.confirmed.add(id_)
        for number, ended_s in list(self._open.items()):
            if call.at_s >= ended_s:
                self.bought_s[number] = call.at_s + call.took_s
                del self._open[number]
        if not self._open:
            self._is_well.set()

    @property
    def never(self) -> list[int]:
        """The faults after which nothing could be bought any more."""
        return sorted(self._open)


class Traffic:
    """All clients of a run."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._seed = seed
        self._over = asyncio.Event()
        self.revocations = Revocations(shop.line, shop.administrator)
        self._revoking: asyncio.Task[None] | None = None
        self._next_action_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for number in range(CLIENTS):
            account = self._shop.accounts[number % len(self._shop.accounts)]
            draw = random.Random(f"{self._seed} client {number}")  # noqa: S311
            self._tasks.append(asyncio.create_task(self._go_on(Client(self._shop, account, draw))))
        self._tasks.append(asyncio.create_task(self._pulse()))
        self._tasks.append(asyncio.create_task(self._sell_few()))
        self._revoking = asyncio.create_task(self.revocations.run())

    async def settle(self) -> None:
        """No client begins anything new. A client without an answer goes on calling, for a minute at the most."""
        self._over.set()
        await self._stop_revoking()
        self._shop.give_up_at = time.monotonic() + SETTLE_S_MAX / 2
        _, late = await asyncio.wait(self._tasks, timeout=SETTLE_S_MAX)
        for task in late:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def stop(self) -> None:
        await self._stop_revoking()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stop_revoking(self) -> None:
        # What it has in hand when it is stopped is not kept, and so is not judged.
        if self._revoking is not None:
            self._revoking.cancel()
            await asyncio.gather(self._revoking, return_exceptions=True)

    def fail_if_broken(self) -> None:
        """A client that ended is a defect of the driver."""
        for task in (*self._tasks, *((self._revoking,) if self._revoking else ())):
            if task.done() and not self._over.is_set():
                task.result()

    async def _go_on(self, client: Client) -> None:
        while not self._over.is_set():
            await self._wait_for_turn()
            await client.turn()

    async def _wait_for_turn(self) -> None:
        """Shares out turns, so many a second. What a stall has kept from happening is not made up for."""
        now = time.monotonic()
        self._next_action_at = max(now, self._next_action_at) + 1 / ACTIONS_PER_S_MAX
        await asyncio.sleep(self._next_action_at - now)

    async def _pulse(self) -> None:
        client = Client(self._shop, self._shop.accounts[0], random.Random(f"{self._seed} pulse"))  # noqa: S311
        beating: set[asyncio.Task[Call]] = set()
        while not self._over.is_set():
            if len(beating) < PULSES_AT_ONCE_MAX:
                beat = asyncio.create_task(client.buy_once())
                beating.add(beat)
                beat.add_done_callback(beating.discard)
            await asyncio.sleep(PULSE_S)
        await asyncio.gather(*beating)

    async def _sell_few(self) -> None:
        draw = random.Random(f"{self._seed} few")  # noqa: S311
        while not self._over.is_set():
            await sell_a_few(self._shop, draw)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), SECONDS_BETWEEN_FEW)


async def open_shop(system: System, line: GatewayClient) -> Shop:
    """Registers the customers and puts up the products. Nothing is broken yet, so every call has to succeed."""
    administrator = Account(line, system.credentials.administrator_email, system.credentials.administrator)
    await administrator.sign_in()
    customers = [_newcomer(line) for _ in range(ACCOUNTS)]
    for customer in customers:
        await customer.register()
        await customer.sign_in()
    products_on_sale = [product(f"GOODS-{number}", STOCK, f"{number}.99") for number in range(1, PRODUCTS + 1)]
    ids = [await _put_on_sale(line, administrator, what) for what in [*products_on_sale, product("HOT", HOT_STOCK)]]
    return Shop(line, customers, administrator, products=ids[:-1], hot_product=ids[-1])


def _newcomer(line: GatewayClient) -> Account:
    return Account(line, f"buyer-{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(18))


async def _put_on_sale(line: GatewayClient, administrator: Account, what: dict[str, object]) -> str:
    call = await line.call(administrator, "put on sale", "POST", "/products", body=what)
    if call.status != 201:
        raise CannotGoOn(f"A product could not be put on sale: {call.status} {call.decoded()}")
    return str(call.decoded()["id"])
