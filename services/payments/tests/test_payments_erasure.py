"""Of a deleted account no payment method stays, and none is added; payments that are open go on to their end."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from payments.domain.payment import State
from payments.erase_users import EraseTokens
from payments.keep_payment_methods import KeepMethods
from payments.messages import Authorized, AuthorizeItem, NewPaymentMethod
from payments.providers.provider_client import ProviderCalls
from payments.workers import consumer

from .conftest import Shop, eventually
from .desk import Desk, a_void, an_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def desk(database: Database) -> Desk:
    return Desk(database)


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


async def hear_of_deletion(database: Database, *user_ids: UUID) -> None:
    events = [deletion(user_id) for user_id in user_ids]
    await database.run(lambda connection: consumer.handle(connection, events))


async def rows(database: Database, query: str, *values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.run(lambda connection: connection.fetch(query, *values))]


async def test_saved_methods_of_a_deleted_account_are_gone_and_none_is_added(shop: Shop, database: Database) -> None:
    user_id, neighbour = uuid7(), uuid7()
    wallet = {"authorization": f"Bearer {shop.access_token(user_id=str(user_id))}"}
    others = {"authorization": f"Bearer {shop.access_token(user_id=str(neighbour))}"}
    body = {"token": "pm_card_visa", "label": "My grandmother's card"}
    for headers in (wallet, others):
        saved = await shop.client.post("/payment-methods", json=body, headers=headers | {"idempotency-key": "1"})
        assert saved.status_code == 201
    removed = await shop.client.post("/payment-methods", json=body, headers=wallet)
    await shop.client.delete(f"/payment-methods/{removed.json()['id']}", headers=wallet)

    await hear_of_deletion(database, user_id, user_id)
    await hear_of_deletion(database, user_id)

    assert await rows(database, "SELECT FROM payment_methods WHERE user_id = $1", user_id) == []
    for key in ({}, {"idempotency-key": "1"}):
        answer = await shop.client.post("/payment-methods", json=body, headers=wallet | key)
        assert (answer.status_code, answer.json()["code"]) == (401, "account_deleted")
    assert len((await shop.client.get("/payment-methods", headers=others)).json()["items"]) == 1


async def test_a_method_that_is_saved_while_the_account_is_deleted_does_not_stay(desk: Desk) -> None:
    keeping = KeepMethods(desk.database, ProviderCalls(desk.provider))
    for _ in range(10):
        user_id = uuid7()
        await asyncio.gather(
            *(keeping.save(user_id, NewPaymentMethod(token="pm_card_visa"), None) for _ in range(3)),
            hear_of_deletion(desk.database, user_id),
            return_exceptions=True,
        )
        assert await rows(desk.database, "SELECT FROM payment_methods WHERE user_id = $1", user_id) == []


async def authorize(desk: Desk, item: AuthorizeItem) -> None:
    [answer] = await desk.authorization.authorize([item])
    assert isinstance(answer, Authorized), answer


async def becomes(desk: Desk, order_id: UUID, state: State, refunded_minor: int = 0) -> None:
    """The loops of the service that other tests of this module run on the same database may be the ones to do it."""

    async def is_so() -> bool:
        payment = await desk.payment(order_id)
        return (payment.state, payment.refunded_minor) == (state, refunded_minor)

    await desk.turn()
    await eventually(is_so)


async def test_a_payment_goes_on_to_its_end_and_loses_its_token_there(desk: Desk) -> None:
    user_id = uuid7()
    settled, confirmed, voided = (msgspec.structs.replace(an_item(uuid7()), user_id=user_id) for _ in range(3))
    for item in (settled, confirmed, voided):
        await authorize(desk, item)
    await desk.hear(("confirmed", settled.order_id))
    await becomes(desk, settled.order_id, State.CAPTURED)
    await hear_of_deletion(desk.database, user_id)
    erase = EraseTokens(desk.database)
    await erase()
    tokens = "SELECT order_id, method_token <> '' AS kept FROM payments WHERE user_id = $1"
    kept = {row["order_id"]: row["kept"] for row in await rows(desk.database, tokens, user_id)}
    assert kept == {settled.order_id: False, confirmed.order_id: True, voided.order_id: True}

    await desk.hear(("confirmed", confirmed.order_id))
    await desk.voiding.void([a_void(voided.order_id)])
    await becomes(desk, confirmed.order_id, State.CAPTURED)
    await becomes(desk, voided.order_id, State.VOIDED)
    earlier = "UPDATE deleted_users SET deleted_at = now() - interval '1 h' WHERE user_id = $1"
    await rows(desk.database, earlier, user_id)
    await erase()
    assert not any(row["kept"] for row in await rows(desk.database, tokens, user_id))
    [tombstone] = await rows(desk.database, "SELECT erased_at FROM deleted_users WHERE user_id = $1", user_id)
    assert tombstone["erased_at"] is not None

    # What was taken can be given back without a token.
    await desk.hear(("cancelled", confirmed.order_id))
    await becomes(desk, confirmed.order_id, State.CAPTURED, refunded_minor=4_999)


async def test_a_payment_that_comes_after_the_deletion_keeps_no_token(desk: Desk) -> None:
    late = an_item(uuid7())
    await hear_of_deletion(desk.database, late.user_id)
    await authorize(desk, late)
    assert (await desk.payment(late.order_id)).method_token == ""
    await desk.hear(("confirmed", late.order_id))
    await becomes(desk, late.order_id, State.CAPTURED)
    assert await desk.at_provider(late.order_id) == ("captured", 0)
