"""Waiting for the end of an order: everybody is told, or let go of in time, and nothing is kept of them."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from orders.domain.order import Customer, Order, Status
from orders.waiters import Waiting


def an_order(number: int) -> Order:
    now = datetime.now(UTC)
    return Order(
        UUID(int=number), Customer(UUID(int=9), "Eve", "eve@example.com"), (), Status.PENDING, "c", None, now, now
    )


async def test_all_who_wait_for_an_order_are_told_of_its_end() -> None:
    waiting, order = Waiting(30.0), an_order(1)
    asked = [asyncio.create_task(waiting.end_of(order.id)) for _ in range(3)]
    other = asyncio.create_task(waiting.end_of(UUID(int=2)))
    await asyncio.sleep(0)
    waiting.ended(order)
    assert await asyncio.gather(*asked) == [order] * 3
    assert not waiting.is_awaited(order.id)
    assert waiting.is_awaited(UUID(int=2))
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert not waiting.is_awaited(UUID(int=2))


async def test_who_waits_too_long_is_let_go_of_in_the_order_of_coming() -> None:
    waiting, order = Waiting(0.1), an_order(1)
    gone: list[int] = []

    async def wait(number: int) -> None:
        assert await waiting.end_of(UUID(int=number)) is None
        gone.append(number)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for number in (2, 3):
            group.create_task(wait(number))
        first = group.create_task(waiting.end_of(order.id))
        await asyncio.sleep(0.05)
        waiting.ended(order)
        for number in (4, 5):
            group.create_task(wait(number))
    assert first.result() is order
    assert gone == [2, 3, 4, 5]
    assert not any(waiting.is_awaited(UUID(int=number)) for number in range(1, 6))


@pytest.mark.parametrize("rounds", [1, 3])
async def test_it_goes_on_after_everybody_has_left(rounds: int) -> None:
    waiting = Waiting(0.02)
    for _ in range(rounds):
        async with asyncio.timeout(10):
            assert await waiting.end_of(UUID(int=1)) is None
