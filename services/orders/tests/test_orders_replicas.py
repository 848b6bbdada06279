"""Two replicas on one database: they share the work, and one that wakes after its lease has run out does no harm."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, Fault, refuse_work

LEASE_S = 0.3
NEVER_S = 3_600.0


def work_and_answer_after(event: asyncio.Event) -> Fault:
    """What a process finds when it wakes: an answer as old as its sleep."""

    async def answer_late(_request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        answer = await work()
        await event.wait()
        return answer

    return answer_late


async def _events(rows: Any) -> list[str]:
    return [row["type"] for row in await rows("SELECT type FROM journal WHERE type LIKE 'order.%' ORDER BY position")]


async def test_a_replica_that_wakes_to_find_its_order_confirmed_by_another_confirms_it_no_second_time(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    # The first one looks after none of its orders again, as if it were frozen in its call.
    frozen = make_buyer(await start_orders(lease_s=LEASE_S, sweep_s=NEVER_S, wait_s=5.0))
    wake = asyncio.Event()
    payments.plant("/payments", work_and_answer_after(wake))
    buying = asyncio.create_task(frozen.buy((catalog.add(3), 1)))
    await start_orders(lease_s=LEASE_S, sweep_s=0.05)
    async with asyncio.timeout(15):
        while "order.confirmed" not in await _events(rows):
            await asyncio.sleep(0.02)
    wake.set()

    status, order, _ = await buying
    assert (status, order["status"]) == (201, "confirmed")
    assert await _events(rows) == ["order.placed", "order.confirmed"]
    assert payments.authorizations == 1


async def test_a_replica_that_wakes_to_find_its_order_cancelled_at_another_does_not_confirm_it(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    buyer = make_buyer(await start_orders(lease_s=LEASE_S, sweep_s=NEVER_S, wait_s=5.0))
    other_url = await start_orders(lease_s=LEASE_S, sweep_s=NEVER_S)
    product = catalog.add(3)
    wake = asyncio.Event()
    payments.plant("/payments", work_and_answer_after(wake))
    buying = asyncio.create_task(buyer.buy((product, 1)))
    async with asyncio.timeout(15):
        while not payments.live():
            await asyncio.sleep(0.02)
    (placed,) = await rows("SELECT id FROM orders")
    buyer_at_other = Buyer(buyer.id, other_url, buyer.session, buyer.token)
    status, cancelled, _ = await buyer_at_other.call("POST", f"/orders/{placed['id']}/cancel")
    assert (status, cancelled["status"]) == (200, "cancelled")
    wake.set()

    status, problem, _ = await buying
    assert (status, problem["code"]) == (409, "order_cancelled")
    assert await _events(rows) == ["order.placed", "order.cancelled"]
    assert catalog.stock[product] == 3
    assert payments.live() == []


async def test_sweepers_share_what_was_left_and_take_up_each_order_once(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    buyer = make_buyer(await start_orders(sweep_s=NEVER_S, wait_s=0.1))
    product = catalog.add(40)
    payments.always["/payments"] = refuse_work
    await asyncio.gather(*(buyer.buy((product, 1)) for _ in range(40)))
    async with asyncio.timeout(15):
        while (await rows("SELECT count(*) FROM orders WHERE last_trouble IS NOT NULL"))[0]["count"] < 40:
            await asyncio.sleep(0.02)
    await rows("UPDATE orders SET next_attempt_at = now() + interval '1 second'")
    payments.always.clear()
    payments.calls.clear()

    await asyncio.gather(*(start_orders(sweep_s=0.05) for _ in range(2)))

    async with asyncio.timeout(15):
        while (await _events(rows)).count("order.confirmed") < 40:
            await asyncio.sleep(0.02)
    asked = [item["order_id"] for _, body in payments.calls for item in body["items"]]
    assert len(asked) == len(set(asked)) == 40
