"""The stream of an order: every event once and in order, whatever the connection does; bounds for those who follow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, FakeUsers, refuse_work

from orders import order_streams


@contextlib.asynccontextmanager
async def stream(
    buyer: Buyer, order_id: str, last_event_id: str | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"authorization": f"Bearer {buyer.token}"}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    url = f"{buyer.base_url}/orders/{order_id}/stream"
    async with buyer.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as answer:
        yield answer


async def messages(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Each event as its id and the order in it."""
    id_ = ""
    async for line in answer.content:
        name, _, value = line.decode().strip().partition(": ")
        if name == "id":
            id_ = value
        if name == "data":
            yield id_, msgspec.json.decode(value)


async def all_of(buyer: Buyer, order_id: str, last_event_id: str | None = None) -> list[tuple[str, str]]:
    """Id and status of each event until the stream ends."""
    async with stream(buyer, order_id, last_event_id) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        return [(id_, order["status"]) async for id_, order in messages(answer)]


async def positions(rows: Any) -> list[str]:
    return [str(row["position"]) for row in await rows("SELECT position FROM journal ORDER BY position")]


async def pending(buyer: Buyer, catalog: FakeCatalog, payments: FakePayments) -> str:
    payments.always["/payments"] = refuse_work
    status, order, _ = await buyer.buy((catalog.add(5), 1), key=None)
    assert status == 202, order
    return str(order["id"])


@pytest.fixture
async def buyer(start_orders: Any, make_buyer: Callable[..., Buyer]) -> Buyer:
    return make_buyer(await start_orders(wait_s=0.1, streams_per_user_max=3))


async def test_the_stream_sends_each_event_until_the_last_one(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    order_id = await pending(buyer, catalog, payments)
    sent = []
    async with stream(buyer, order_id) as answer:
        async for id_, order in messages(answer):
            sent.append((id_, order["status"], order["total"] is not None))
            if order["status"] == "pending":
                payments.always.clear()
            if order["status"] == "confirmed":
                await buyer.call("POST", f"/orders/{order_id}/cancel")
    steps = [("pending", False), ("confirmed", True), ("cancelled", True)]
    assert sent == [(id_, *step) for id_, step in zip(await positions(rows), steps, strict=True)]


async def test_two_changes_between_two_polls_are_two_events(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await pending(buyer, catalog, payments)
    sent = []
    async with stream(buyer, order_id) as answer:
        monkeypatch.setattr(order_streams, "POLL_S", 3.0)
        async for _, order in messages(answer):
            sent.append(order["status"])
            if order["status"] == "pending":
                payments.always.clear()
                await buyer.wait_for_status(order_id, "confirmed")
                await buyer.call("POST", f"/orders/{order_id}/cancel")
    assert sent == ["pending", "confirmed", "cancelled"]


async def test_a_stream_that_begins_late_sends_how_the_order_stands(buyer: Buyer, catalog: FakeCatalog) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))
    await buyer.wait_for_status(order["id"], "confirmed")
    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    assert [status for _, status in await all_of(buyer, order["id"])] == ["cancelled"]


async def test_a_client_that_comes_back_gets_what_followed_and_204_after_the_last_event(
    buyer: Buyer, catalog: FakeCatalog, rows: Any
) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))
    await buyer.wait_for_status(order["id"], "confirmed")
    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    placed, confirmed, cancelled = await positions(rows)

    assert await all_of(buyer, order["id"], placed) == [(confirmed, "confirmed"), (cancelled, "cancelled")]
    assert await all_of(buyer, order["id"], confirmed) == [(cancelled, "cancelled")]
    async with stream(buyer, order["id"], cancelled) as answer:
        assert answer.status == 204
        assert await answer.read() == b""


@pytest.mark.parametrize("made_up", ["0", "-1", "999999", "1e3", "confirmed", "٣", "1" * 400, "00", "1.0"])
async def test_a_made_up_event_id_is_refused(buyer: Buyer, catalog: FakeCatalog, made_up: str) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))
    async with stream(buyer, order["id"], made_up) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "unknown_event_id")


async def test_the_id_of_another_orders_event_is_refused(buyer: Buyer, catalog: FakeCatalog, rows: Any) -> None:
    for _ in range(2):
        _, order, _ = await buyer.buy((catalog.add(5), 1))
    async with stream(buyer, order["id"], (await positions(rows))[0]) as answer:
        assert answer.status == 422


async def test_one_user_cannot_take_all_streams_and_gives_each_back(
    buyer: Buyer,
    make_buyer: Callable[..., Buyer],
    catalog: FakeCatalog,
    payments: FakePayments,
    until: Callable[..., Awaitable[None]],
) -> None:
    order_id = await pending(buyer, catalog, payments)
    other = make_buyer(buyer.base_url)
    of_other = await pending(other, catalog, payments)
    async with contextlib.AsyncExitStack() as opened:
        answers = await asyncio.gather(*(opened.enter_async_context(stream(buyer, order_id)) for _ in range(5)))
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 429, 429]
        refused = next(answer for answer in answers if answer.status == 429)
        assert (await refused.json())["code"] == "too_many_streams"
        assert refused.headers["retry-after"]
        async with stream(other, of_other) as answer:
            assert answer.status == 200

    async def there_is_room_again() -> bool:
        async with stream(buyer, order_id) as answer:
            return answer.status == 200

    await until(there_is_room_again, "those that went away have given back their places")


async def test_a_stream_ends_when_its_token_is_revoked(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, users: FakeUsers
) -> None:
    order_id = await pending(buyer, catalog, payments)
    async with asyncio.timeout(10), stream(buyer, order_id) as answer:
        sent = []
        async for _, order in messages(answer):
            sent.append(order["status"])
            users.revocations = [{"user_id": str(buyer.id), "version": 2}]
    assert sent == ["pending"]


async def test_a_stream_ends_when_its_token_expires(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, access_token: Callable[..., str]
) -> None:
    order_id = await pending(buyer, catalog, payments)
    buyer.token = access_token(str(buyer.id), seconds=2)
    async with asyncio.timeout(15):
        assert [status for _, status in await all_of(buyer, order_id)] == ["pending"]
