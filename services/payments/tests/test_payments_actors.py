"""Events and ledger entries name the actor that moved the money, even when the provider answers later."""

import pytest
from uuid_utils.compat import uuid7

from chassis import actor, context
from chassis.persistence.database import Connection, Database, Row
from payments.domain.payment import Payment
from payments.domain.refund import RefundKey
from payments.manual_settlement import capture_manually
from payments.request_refund import RefundToCreate, request_refund

from .conftest import Shop
from .replica import Replica

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN, OTHER_ADMIN = "operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a01", "operator:0198c2a5-0b1e-7c3d-9a44-0d5f1c2b3a02"
PAYMENTS = actor.service("payments")


@pytest.fixture
async def replica(database: Database) -> Replica:
    return Replica(database)


async def actors_of(database: Database, payment: Payment) -> dict[str, str]:
    """The actors of the payment's events, by type; the last one where a type occurs twice."""

    async def query(connection: Connection) -> list[Row]:
        return await connection.fetch(
            "SELECT type, actor FROM journal WHERE subject = $1 ORDER BY position", str(payment.id)
        )

    return {row["type"]: row["actor"] for row in await database.read(query)}


async def test_the_actor_of_events_that_an_order_causes_is_a_service(replica: Replica, database: Database) -> None:
    with context.acting_as(actor.service("orders")):
        order_id = await replica.authorized_order()
    with context.acting_as(PAYMENTS):
        await replica.consume(("confirmed", order_id))
        await replica.settle()
        await replica.consume(("cancelled", order_id))
        await replica.settle()
    assert await actors_of(database, await replica.payment(order_id)) == {
        "payment.authorized": "service:orders",
        "payment.captured": PAYMENTS,
        "payment.refunded": PAYMENTS,
    }


async def test_the_actor_of_a_manual_capture_is_the_administrator_even_when_a_worker_completes_it(
    replica: Replica, database: Database
) -> None:
    order_id = await replica.authorized_order()
    payment = await replica.payment(order_id)
    replica.provider.is_down = True
    with context.acting_as(ADMIN):
        await capture_manually(database, replica.client, payment.id)
    replica.provider.is_down = False
    await replica.expire_leases()
    with context.acting_as(PAYMENTS):
        # A confirmation meanwhile changes nothing.
        await replica.consume(("confirmed", order_id))
        await replica.settle()
    assert (await actors_of(database, payment))["payment.captured"] == ADMIN


async def test_the_actor_of_a_manual_void_is_the_administrator(shop: Shop) -> None:
    _, payment_id = await shop.authorized()
    await shop.age(payment_id)
    headers = shop.admin | {"idempotency-key": str(uuid7())}
    answer = await shop.client.post(f"/payments/{payment_id}/void", headers=headers)
    assert answer.json()["status"] == "voided"
    rows = await shop.rows("SELECT type, actor FROM journal WHERE subject = $1 ORDER BY position", str(payment_id))
    (authorized, voided) = [row["actor"] for row in rows]
    assert authorized == "service:orders"
    assert voided.startswith("operator:")


async def test_the_actor_of_a_repeated_refund_request_is_the_first_administrator(
    replica: Replica, database: Database
) -> None:
    order_id = await replica.authorized_order()
    with context.acting_as(PAYMENTS):
        await replica.consume(("confirmed", order_id))
        await replica.settle()
    payment = await replica.payment(order_id)
    request = RefundToCreate(
        payment_id=payment.id,
        amount=None,
        reason="a gift",
        key=RefundKey(uuid7(), "key"),
        fingerprint=b"fingerprint",
    )
    for administrator in (ADMIN, OTHER_ADMIN):
        with context.acting_as(administrator):
            refund = await request_refund(database, replica.client, request)
            assert refund["actor"] == ADMIN
    assert (await actors_of(database, payment))["payment.refunded"] == ADMIN
