"""Orders authorizes and voids, through the whole service."""

from uuid import UUID

from uuid_utils.compat import uuid7

from .conftest import Shop


async def test_a_payment_is_authorized_once_however_often_it_is_asked(shop: Shop) -> None:
    order_id = uuid7()
    [first] = await shop.authorize(shop.item(order_id))
    [second] = await shop.authorize(shop.item(order_id))
    assert first["outcome"] == "authorized"
    assert first == second
    assert await shop.events(UUID(first["payment_id"])) == ["payment.authorized"]
    assert len(await shop.rows("SELECT payment_id FROM sandbox_payments")) == 1
