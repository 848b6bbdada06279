"""What orders' events want is done at the provider, once, whatever comes in between."""

import asyncio

import pytest
import structlog
from uuid_utils.compat import uuid7

from chassis.persistence.database import Database
from chassis.problems import Unavailable
from payments import store
from payments.domain.refund import RefundKey
from payments.manual_settlement import Intervene
from payments.messages import Authorized, NewRefund, NotKnownYet
from payments.request_refund import RequestRefund
from payments.settle_payments import retry_delay_s

from .conftest import eventually
from .desk import Desk, a_void, an_item

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def desk(database: Database) -> Desk:
    return Desk(database)


TAKEN = {"provider_receivable": 4_999, "sales": -4_999}
GIVEN_BACK = {"provider_receivable": 0, "sales": -4_999, "refunds": 4_999}


async def test_a_confirmed_order_is_captured_once_and_booked(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "captured"]
    assert await desk.at_provider(order_id) == ("captured", 0)
    assert await desk.booked(order_id) == TAKEN


async def test_the_capture_belongs_to_the_work_that_confirmed_the_order(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    assert (await desk.payment(order_id)).correlation_id == f"order.confirmed-{order_id}"


@pytest.mark.parametrize("order", [("confirmed", "cancelled"), ("cancelled", "confirmed")])
async def test_confirmed_and_cancelled_before_anything_was_done_is_voided(desk: Desk, order: tuple[str, str]) -> None:
    order_id = await desk.authorized()
    await desk.hear(*((kind, order_id) for kind in order))
    await desk.turn()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "voided"]
    assert await desk.at_provider(order_id) == ("voided", 0)
    assert await desk.booked(order_id) == {}


async def test_an_order_cancelled_after_its_capture_is_refunded_once(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    await desk.hear(("cancelled", order_id), ("cancelled", order_id))
    await desk.hear(("cancelled", order_id))
    await desk.turn()
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "captured", "refunded"]
    assert await desk.at_provider(order_id) == ("captured", 4_999)
    assert await desk.booked(order_id) == GIVEN_BACK


async def test_an_order_cancelled_while_its_capture_is_on_its_way_is_refunded(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    desk.provider.may_answer.clear()
    desk.provider.has_worked.clear()
    capture = asyncio.create_task(desk.payments.turn())
    await asyncio.wait_for(desk.provider.has_worked.wait(), 5)
    await desk.hear(("cancelled", order_id))
    desk.provider.may_answer.set()
    await capture
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "captured", "refunded"]
    assert await desk.booked(order_id) == GIVEN_BACK


async def test_a_capture_whose_answer_was_lost_before_the_cancellation_is_found_and_refunded(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    desk.provider.loses_answers = True
    await desk.payments.turn()
    assert await desk.at_provider(order_id) == ("captured", 0)
    await desk.hear(("cancelled", order_id))
    desk.provider.loses_answers = False
    await desk.leases_run_out()
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "captured", "refunded"]
    assert await desk.booked(order_id) == GIVEN_BACK


async def test_a_cancellation_before_the_payment_leaves_a_tombstone(desk: Desk) -> None:
    order_id = uuid7()
    await desk.hear(("cancelled", order_id))
    [late] = await desk.authorization.authorize([an_item(order_id)])
    assert type(late).__name__ == "Refused"
    assert await desk.events(order_id) == []


async def test_a_cancellation_of_what_is_unknown_voids_it(desk: Desk) -> None:
    order_id = uuid7()
    [lost] = await desk.authorization.authorize([an_item(order_id, "pm_sandbox_timeout")])
    assert isinstance(lost, NotKnownYet)
    await desk.hear(("cancelled", order_id))
    await desk.turn()
    assert await desk.at_provider(order_id) == ("voided", 0)
    assert await desk.events(order_id) == ["voided"]


async def test_an_authorization_that_answers_after_the_void_does_not_count(desk: Desk) -> None:
    order_id = uuid7()
    desk.provider.may_answer.clear()
    late = asyncio.create_task(desk.authorization.authorize([an_item(order_id)]))
    await asyncio.wait_for(desk.provider.has_worked.wait(), 5)
    other = Desk(desk.database)
    [voided] = await other.voiding.void([a_void(order_id)])
    desk.provider.may_answer.set()
    [answer] = await late
    assert voided.outcome == "voided"
    assert type(answer).__name__ == "Refused"
    assert await desk.events(order_id) == ["voided"]
    assert await desk.at_provider(order_id) == ("voided", 0)


async def test_a_void_without_an_answer_is_unknown_and_is_ended_later(desk: Desk) -> None:
    order_id = await desk.authorized()
    desk.provider.is_down = True
    [answer] = await desk.voiding.void([a_void(order_id)])
    assert answer.outcome == "unknown"
    [late] = await desk.authorization.authorize([an_item(order_id)])
    assert type(late).__name__ == "Refused", "the undo has begun, so the do is refused"
    desk.provider.is_down = False
    await desk.leases_run_out()
    await desk.turn()
    [again] = await desk.voiding.void([a_void(order_id)])
    assert again.outcome == "voided"
    assert await desk.events(order_id) == ["authorized", "voided"]


async def test_a_provider_that_hangs_is_unknown_and_not_declined(desk: Desk) -> None:
    desk.provider.may_answer.clear()
    order_id = uuid7()
    [answer] = await desk.authorization.authorize([an_item(order_id)])
    assert isinstance(answer, NotKnownYet)
    desk.provider.may_answer.set()
    [again] = await desk.authorization.authorize([an_item(order_id)])
    assert isinstance(again, Authorized)


async def test_what_the_provider_did_not_do_is_tried_again_after_a_pause(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    desk.provider.is_down = True
    await desk.payments.turn()
    asked = desk.provider.captures
    await desk.payments.turn()
    assert desk.provider.captures == asked, "it is not due yet"
    desk.provider.is_down = False

    async def is_captured() -> bool:
        await desk.turn()
        return await desk.events(order_id) == ["authorized", "captured"]

    await eventually(is_captured)


async def test_a_worker_that_died_leaves_its_payment_to_another_once_the_lease_is_over(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.database.run(lambda connection: store.payments.take_due(connection, 10))
    other = Desk(desk.database)
    await other.turn()
    assert await desk.events(order_id) == ["authorized"], "the lease is respected"
    await desk.leases_run_out()
    await other.turn()
    assert await desk.events(order_id) == ["authorized", "captured"]


async def test_a_worker_that_froze_past_its_lease_does_no_harm(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    desk.provider.may_answer.clear()
    desk.provider.has_worked.clear()
    frozen = asyncio.create_task(desk.payments.turn())
    await asyncio.wait_for(desk.provider.has_worked.wait(), 5)
    await desk.leases_run_out()
    await Desk(desk.database).turn()
    desk.provider.may_answer.set()
    await frozen
    assert await desk.events(order_id) == ["authorized", "captured"]
    assert await desk.booked(order_id) == TAKEN


async def test_two_replicas_share_the_work_and_book_each_payment_once(desk: Desk) -> None:
    order_ids = [await desk.authorized() for _ in range(20)]
    await desk.hear(*(("confirmed", order_id) for order_id in order_ids))
    replicas = [desk, Desk(desk.database)]
    await asyncio.gather(*(replica.turn() for replica in replicas for _ in range(3)))
    await desk.hear(*(("cancelled", order_id) for order_id in order_ids))
    await asyncio.gather(*(replica.turn() for replica in replicas for _ in range(3)))
    for order_id in order_ids:
        assert await desk.events(order_id) == ["authorized", "captured", "refunded"]
        assert await desk.booked(order_id) == GIVEN_BACK


async def test_a_refund_whose_answer_was_lost_is_given_and_booked_once(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    await desk.hear(("cancelled", order_id))
    desk.provider.loses_answers = True
    await desk.refunds.turn()
    assert await desk.booked(order_id) == TAKEN
    desk.provider.loses_answers = False
    await desk.leases_run_out()
    await desk.turn()
    assert await desk.at_provider(order_id) == ("captured", 4_999)
    assert await desk.booked(order_id) == GIVEN_BACK


async def test_a_refund_worker_that_froze_past_its_lease_books_nothing_twice(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    await desk.hear(("cancelled", order_id))
    desk.provider.may_answer.clear()
    desk.provider.has_worked.clear()
    frozen = asyncio.create_task(desk.refunds.turn())
    await asyncio.wait_for(desk.provider.has_worked.wait(), 5)
    await desk.leases_run_out()
    await Desk(desk.database).turn()
    desk.provider.may_answer.set()
    await frozen
    assert await desk.events(order_id) == ["authorized", "captured", "refunded"]
    assert await desk.booked(order_id) == GIVEN_BACK
    assert (await desk.payment(order_id)).refunded_minor == 4_999


async def test_a_refund_that_the_provider_refuses_is_told_and_can_be_asked_for_again(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.turn()
    await desk.hear(("cancelled", order_id))
    desk.provider.refuses_with = "account_closed"
    with structlog.testing.capture_logs() as logs:
        await desk.turn()
    assert [line["code"] for line in logs if line["log_level"] == "error"] == ["account_closed"]
    assert (await desk.payment(order_id)).left_minor == 4_999
    assert await desk.booked(order_id) == TAKEN
    desk.provider.refuses_with = ""
    await RequestRefund(desk.database, desk.refunds).request(
        (await desk.payment(order_id)).id, NewRefund(reason="by hand"), RefundKey(uuid7(), "once")
    )
    assert await desk.booked(order_id) == GIVEN_BACK


async def test_a_capture_by_hand_that_finds_no_provider_is_done_later(desk: Desk) -> None:
    order_id = await desk.authorized()
    desk.provider.is_down = True
    await Intervene(desk.database, desk.payments).capture((await desk.payment(order_id)).id)
    assert await desk.events(order_id) == ["authorized"]
    desk.provider.is_down = False
    await desk.leases_run_out()
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "captured"]


async def test_a_capture_that_the_provider_refuses_is_an_error_and_not_a_sale(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.hear(("confirmed", order_id))
    await desk.provider.void([(await desk.payment(order_id)).id])
    with structlog.testing.capture_logs() as logs:
        await desk.turn()
    assert [line["log_level"] for line in logs] == ["info", "error"]
    assert await desk.events(order_id) == ["authorized", "voided"]
    assert (await desk.payment(order_id)).code == "voided"
    assert await desk.booked(order_id) == {}


async def test_a_confirmation_of_a_voided_payment_is_logged_as_an_error_and_changes_nothing(desk: Desk) -> None:
    order_id = await desk.authorized()
    await desk.voiding.void([a_void(order_id)])
    with structlog.testing.capture_logs() as logs:
        await desk.hear(("confirmed", order_id), ("confirmed", uuid7()))
    assert [line["log_level"] for line in logs] == ["error", "error"]
    await desk.turn()
    assert await desk.events(order_id) == ["authorized", "voided"]


async def test_an_authorization_that_cannot_be_written_down_is_unknown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = uuid7()
    run, runs = desk.database.run_statement, 0

    async def fails_at_the_outcome(work: object) -> object:
        nonlocal runs
        runs += 1
        if runs == 3:  # the intent, the sandbox's own record, and then the outcome
            raise Unavailable
        return await run(work)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.database, "run_statement", fails_at_the_outcome)
    [answer] = await desk.authorization.authorize([an_item(order_id)])
    monkeypatch.undo()
    assert isinstance(answer, NotKnownYet)
    [found] = await desk.authorization.authorize([an_item(order_id)])
    assert isinstance(found, Authorized)
    assert await desk.events(order_id) == ["authorized"]


async def test_delays_grow_up_to_a_limit() -> None:
    delays = [retry_delay_s(attempts) for attempts in range(12)]
    assert delays == sorted(delays)
    assert delays[-1] == 10.0
