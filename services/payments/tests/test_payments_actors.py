"""Who moved the money is told in the events and the ledger, also when the provider answers later."""

import pytest
from uuid_utils.compat import uuid7

from chassis import actor, context
from chassis.persistence.database import Connection, Database, Row
from payments.domain.payment import Payment
from payments.domain.refund import RefundKey
from payments.manual_settlement import Intervene
from payments.messages import NewRefund
from payments.request_refund import RequestRefund

from .conftest import Shop
from .desk import Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN, OTHER_ADMIN = "operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01", "operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a02"
PAYMENTS = actor.service("payments")


@pytest.fixture
async def desk(database: Database) -> Desk:
    return Desk(database)


async def actors_of(database: Database, payment: Payment) -> dict[str, str]:
    """Of the payment's events, by their type; of the last one where there are several."""

    async def query(connection: Connection) -> list[Row]:
        return await connection.fetch(
            "SELECT type, actor FROM journal WHERE subject = $1 ORDER BY position", str(payment.id)
        )

    return {row["type"]: row["actor"] for row in await database.read(query)}


async def test_what_an_order_brings_about_is_done_by_services(desk: Desk, database: Database) -> None:
    with context.acting_as(actor.service("orders")):
        order_id = await desk.authorized()
    with context.acting_as(PAYMENTS):
        await desk.hear(("confirmed", order_id))
        await desk.turn()
        await desk.hear(("cancelled", order_id))
        await desk.turn()
    assert await actors_of(database, await desk.payment(order_id)) == {
        "payment.authorized": "service:orders",
        "payment.captured": PAYMENTS,
        "payment.refunded": PAYMENTS,
    }


async def test_a_capture_by_hand_is_the_administrators_though_the_loop_ends_it(desk: Desk, database: Database) -> None:
    order_id = await desk.authorized()
    payment = await desk.payment(order_id)
    desk.provider.is_down = True
    with context.acting_as(ADMIN):
        await Intervene(database, desk.payments).capture(payment.id)
    desk.provider.is_down = False
    await desk.leases_run_out()
    with context.acting_as(PAYMENTS):
        # An order that is confirmed meanwhile wants nothing new.
        await desk.hear(("confirmed", order_id))
        await desk.turn()
    assert (await actors_of(database, payment))["payment.captured"] == ADMIN


async def test_a_void_by_hand_is_the_administrators(shop: Shop) -> None:
    _, payment_id = await shop.authorized()
    await shop.grows_old(payment_id)
    headers = shop.admin | {"idempotency-key": str(uuid7())}
    answer = await shop.client.post(f"/payments/{payment_id}/void", headers=headers)
    assert answer.json()["status"] == "voided"
    rows = await shop.rows("SELECT type, actor FROM journal WHERE subject = $1 ORDER BY position", str(payment_id))
    (authorized, voided) = [row["actor"] for row in rows]
    assert authorized == "service:orders"
    assert voided.startswith("operator:")


async def test_a_refund_that_is_repeated_stays_with_the_one_who_asked_first(desk: Desk, database: Database) -> None:
    order_id = await desk.authorized()
    with context.acting_as(PAYMENTS):
        await desk.hear(("confirmed", order_id))
        await desk.turn()
    payment = await desk.payment(order_id)
    refunding = RequestRefund(database, desk.refunds)
    key = RefundKey(uuid7(), "key")
    for who in (ADMIN, OTHER_ADMIN):
        with context.acting_as(who):
            refund = await refunding.request(payment.id, NewRefund(reason="a gift"), key)
            assert refund["actor"] == ADMIN
    assert (await actors_of(database, payment))["payment.refunded"] == ADMIN
