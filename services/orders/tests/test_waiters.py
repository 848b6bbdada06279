"""Requests that wait for the end of an order get it, or time out, and leave nothing behind."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from orders.domain.order import Customer, Order, Status
from orders.waiters import Waiters


def an_order(number: int) -> Order:
    now = datetime.now(UTC)
    return Order(
        UUID(int=number), Customer(UUID(int=9), "Eve", "eve@example.com"), (), Status.PENDING, "c", None, now, now
    )


async def test_all_requests_that_wait_for_an_order_get_its_end() -> None:
    waiters, order = Waiters(30.0), an_order(1)
    waiting = [asyncio.create_task(waiters.wait_for_end(order.id)) for _ in range(3)]
    other = asyncio.create_task(waiters.wait_for_end(UUID(int=2)))
    await asyncio.sleep(0)
    waiters.notify(order)
    assert await asyncio.gather(*waiting) == [order] * 3
    assert not waiters.has_waiter(order.id)
    assert waiters.has_waiter(UUID(int=2))
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert not waiters.has_waiter(UUID(int=2))


async def test_requests_time_out_in_the_order_of_their_arrival() -> None:
    waiters, order = Waiters(0.1), an_order(1)
    gone: list[int] = []

    async def wait(number: int) -> None:
        assert await waiters.wait_for_end(UUID(int=number)) is None
        gone.append(number)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in (2, 3):
            group.create_task(wait(number))
        first = group.create_task(waiters.wait_for_end(order.id))
        await asyncio.sleep(0.05)
        waiters.notify(order)
        for number in (4, 5):
            group.create_task(wait(number))
    assert first.result() is order
    assert gone == [2, 3, 4, 5]
    assert not any(waiters.has_waiter(UUID(int=number)) for number in range(1, 6))


@pytest.mark.parametrize("rounds", [1, 3])
async def test_new_requests_time_out_after_all_earlier_ones_have_left(rounds: int) -> None:
    waiters = Waiters(0.02)
    for _ in range(rounds):
        async with asyncio.timeout(10):
            assert await waiters.wait_for_end(UUID(int=1)) is None
