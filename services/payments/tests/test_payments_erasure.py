"""A deleted account keeps no payment method and gets none. Its open payments are settled."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from payments.domain.order_requests import AuthorizationOutcome, PaymentRequest
from payments.domain.payment import PaymentState
from payments.save_payment_method import MethodToSave, save_payment_method
from payments.workers import consumer
from payments.workers.token_eraser import TokenEraser

from .conftest import Shop, eventually
from .replica import Replica, a_payment_request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def replica(database: Database) -> Replica:
    return Replica(database)


def deletion(user_id: UUID) -> Envelope:
    return Envelope(
        id=uuid7(),
        source="/users",
        type="user.deleted",
        subject=str(user_id),
        time=datetime.now(UTC),
        sequence="1",
        correlationid="deleting",
        data=msgspec.Raw(msgspec.json.encode({"user_id": str(user_id), "version": 2})),
    )


async def consume_deletion(database: Database, *user_ids: UUID) -> None:
    events = [deletion(user_id) for user_id in user_ids]
    await database.run(lambda connection: consumer.handle(connection, events))


async def rows(database: Database, query: str, *values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.run(lambda connection: connection.fetch(query, *values))]


async def test_a_deleted_account_keeps_no_method_and_cannot_save_one(shop: Shop, database: Database) -> None:
    user_id, neighbour = uuid7(), uuid7()
    wallet = {"authorization": f"Bearer {shop.access_token(user_id=str(user_id))}"}
    others = {"authorization": f"Bearer {shop.access_token(user_id=str(neighbour))}"}
    body = {"token": "pm_card_visa", "label": "My grandmother's card"}
    for headers in (wallet, others):
        saved = await shop.client.post("/payment-methods", json=body, headers=headers | {"idempotency-key": "1"})
        assert saved.status_code == 201
    removed = await shop.client.post("/payment-methods", json=body, headers=wallet)
    await shop.client.delete(f"/payment-methods/{removed.json()['id']}", headers=wallet)

    await consume_deletion(database, user_id, user_id)
    await consume_deletion(database, user_id)

    assert await rows(database, "SELECT FROM payment_methods WHERE user_id = $1", user_id) == []
    for key in ({}, {"idempotency-key": "1"}):
        answer = await shop.client.post("/payment-methods", json=body, headers=wallet | key)
        assert (answer.status_code, answer.json()["code"]) == (401, "account_deleted")
    assert len((await shop.client.get("/payment-methods", headers=others)).json()["items"]) == 1


async def test_a_method_saved_during_the_deletion_of_its_account_is_deleted(replica: Replica) -> None:
    for _ in range(10):
        user_id = uuid7()
        method = MethodToSave(
            user_id=user_id, token="pm_card_visa", label=None, is_default=False, key=None, fingerprint=b""
        )
        await asyncio.gather(
            *(save_payment_method(replica.database, replica.client, method) for _ in range(3)),
            consume_deletion(replica.database, user_id),
            return_exceptions=True,
        )
        assert await rows(replica.database, "SELECT FROM payment_methods WHERE user_id = $1", user_id) == []


async def authorize(replica: Replica, request: PaymentRequest) -> None:
    result = await replica.authorize(request)
    assert result.outcome is AuthorizationOutcome.AUTHORIZED, result


async def wait_for_state(replica: Replica, order_id: UUID, state: PaymentState, refunded_minor: int = 0) -> None:
    """Run the settlers and wait. The service of other tests of this module may settle the payment instead."""

    async def has_state() -> bool:
        payment = await replica.payment(order_id)
        return (payment.state, payment.refunded_minor) == (state, refunded_minor)

    await replica.settle()
    await eventually(has_state)


async def test_an_open_payment_of_a_deleted_account_is_settled_and_then_loses_its_token(replica: Replica) -> None:
    user_id = uuid7()
    settled, confirmed, voided = (a_payment_request(uuid7(), user_id=user_id) for _ in range(3))
    for request in (settled, confirmed, voided):
        await authorize(replica, request)
    await replica.consume(("confirmed", settled.order_id))
    await wait_for_state(replica, settled.order_id, PaymentState.CAPTURED)
    await consume_deletion(replica.database, user_id)
    eraser = TokenEraser(replica.database)
    await eraser.run_once()
    tokens = "SELECT order_id, method_token <> '' AS kept FROM payments WHERE user_id = $1"
    kept = {row["order_id"]: row["kept"] for row in await rows(replica.database, tokens, user_id)}
    assert kept == {settled.order_id: False, confirmed.order_id: True, voided.order_id: True}

    await replica.consume(("confirmed", confirmed.order_id))
    await replica.void(voided.order_id)
    await wait_for_state(replica, confirmed.order_id, PaymentState.CAPTURED)
    await wait_for_state(replica, voided.order_id, PaymentState.VOIDED)
    earlier = "UPDATE deleted_users SET deleted_at = now() - interval '1 h' WHERE user_id = $1"
    await rows(replica.database, earlier, user_id)
    await eraser.run_once()
    assert not any(row["kept"] for row in await rows(replica.database, tokens, user_id))
    [tombstone] = await rows(replica.database, "SELECT erased_at FROM deleted_users WHERE user_id = $1", user_id)
    assert tombstone["erased_at"] is not None

    # A captured payment can be refunded without its token.
    await replica.consume(("cancelled", confirmed.order_id))
    await wait_for_state(replica, confirmed.order_id, PaymentState.CAPTURED, refunded_minor=4_999)


async def test_a_payment_authorized_after_the_deletion_has_no_token(replica: Replica) -> None:
    late = a_payment_request(uuid7())
    await consume_deletion(replica.database, late.user_id)
    await authorize(replica, late)
    assert (await replica.payment(late.order_id)).method_token == ""
    await replica.consume(("confirmed", late.order_id))
    await wait_for_state(replica, late.order_id, PaymentState.CAPTURED)
    assert await replica.provider_status(late.order_id) == ("captured", 0)
