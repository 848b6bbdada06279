"""The start of catalog: the demo shop is loaded once, and events are consumed from a real broker."""

import asyncio
from collections.abc import Callable

from services.catalog.tests.conftest import (
    DEMO_SHOP,
    MakeSettings,
    event_of,
    fake_users,
    opened,
    running,
    until,
)
from uuid_utils.compat import uuid7

from catalog.load_demo_shop import load_demo_shop, read_demo_shop
from chassis.messaging.broker import BrokerUnavailable, Message
from chassis.messaging.brokers import broker_for
from chassis.messaging.envelope import Envelope


async def test_two_replicas_load_one_demo_shop_and_a_restart_loads_none(database_url: str) -> None:
    shop = read_demo_shop(DEMO_SHOP)
    async with opened(database_url) as one, opened(database_url) as other:
        assert sorted(await asyncio.gather(load_demo_shop(one, shop), load_demo_shop(other, shop))) == [False, True]
        await one.run(lambda connection: connection.execute("UPDATE products SET deleted_at = now()"))
        assert not await load_demo_shop(one, shop)
        assert await one.read(lambda connection: connection.fetchval("SELECT count(*) FROM products")) == 40


async def test_a_confirmed_order_is_consumed_from_the_broker_and_its_stock_is_sold(
    settings: MakeSettings,
    database_url: str,
    events_url: str,
    user_jwks: str,
    tokens: dict[str, str],
    signed_message: Callable[[Envelope], Message],
) -> None:
    broker = broker_for(events_url, "orders")
    async with (
        fake_users(user_jwks) as users_url,
        running(settings(database_url, users_url, events_url=events_url), tokens) as service,
    ):
        product = await service.product(stock=5)
        order_id = str(uuid7())
        body = {"order_id": order_id, "quantity": 2}
        await service.call("POST", f"/products/{product['id']}/reserve", by="orders", json=body)
        confirmed = event_of("order.confirmed", {"order_id": order_id})
        message = signed_message(confirmed)
        await broker.start()
        try:

            async def is_published() -> bool:
                try:
                    await broker.publish([message, message])
                except BrokerUnavailable:
                    return False
                return True

            async def is_sold() -> bool:
                rows = await service.rows("SELECT held, sold FROM stock_balance")
                return [tuple(row) for row in rows] == [(0, 2)]

            await until(is_published, "the broker has the event")
            await until(is_sold, "the stock is sold")
            released = await service.call(
                "POST", f"/products/{product['id']}/release", by="orders", json={"order_id": order_id}
            )
            assert released.json()["outcome"] == "sold"
        finally:
            await broker.stop()
