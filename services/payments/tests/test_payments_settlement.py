"""Pending actions are performed at the provider once, whatever happens meanwhile."""

import asyncio

import pytest
import structlog
from uuid_utils.compat import uuid7

from chassis.persistence.database import Database
from chassis.problems import Unavailable
from payments import store
from payments.domain.order_requests import AuthorizationOutcome, VoidOutcome
from payments.domain.refund import RefundKey
from payments.domain.retry_delay import RETRY_MAX_S, retry_delay_s
from payments.manual_settlement import capture_manually
from payments.request_refund import RefundToCreate, request_refund

from .conftest import eventually
from .replica import Replica, a_payment_request

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def replica(database: Database) -> Replica:
    return Replica(database)


CAPTURED = {"provider_receivable": 4_999, "sales": -4_999}
REFUNDED = {"provider_receivable": 0, "sales": -4_999, "refunds": 4_999}


async def test_a_confirmed_order_is_captured_once_and_booked(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "captured"]
    assert await replica.provider_status(order_id) == ("captured", 0)
    assert await replica.balances(order_id) == CAPTURED


async def test_a_capture_has_the_correlation_id_of_the_confirmation(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    assert (await replica.payment(order_id)).correlation_id == f"order.confirmed-{order_id}"


@pytest.mark.parametrize("order", [("confirmed", "cancelled"), ("cancelled", "confirmed")])
async def test_an_order_confirmed_and_cancelled_before_its_settlement_is_voided(
    replica: Replica, order: tuple[str, str]
) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(*((kind, order_id) for kind in order))
    await replica.settle()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "voided"]
    assert await replica.provider_status(order_id) == ("voided", 0)
    assert await replica.balances(order_id) == {}


async def test_an_order_cancelled_after_its_capture_is_refunded_once(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    await replica.consume(("cancelled", order_id), ("cancelled", order_id))
    await replica.consume(("cancelled", order_id))
    await replica.settle()
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "captured", "refunded"]
    assert await replica.provider_status(order_id) == ("captured", 4_999)
    assert await replica.balances(order_id) == REFUNDED


async def test_an_order_cancelled_during_its_capture_is_refunded(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    replica.provider.may_answer.clear()
    replica.provider.has_worked.clear()
    capture = asyncio.create_task(replica.payment_settler.run_once())
    await asyncio.wait_for(replica.provider.has_worked.wait(), 5)
    await replica.consume(("cancelled", order_id))
    replica.provider.may_answer.set()
    await capture
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "captured", "refunded"]
    assert await replica.balances(order_id) == REFUNDED


async def test_a_capture_with_a_lost_answer_is_refunded_after_a_cancellation(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    replica.provider.loses_answers = True
    await replica.payment_settler.run_once()
    assert await replica.provider_status(order_id) == ("captured", 0)
    await replica.consume(("cancelled", order_id))
    replica.provider.loses_answers = False
    await replica.expire_leases()
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "captured", "refunded"]
    assert await replica.balances(order_id) == REFUNDED


async def test_a_cancellation_before_the_payment_leaves_a_tombstone(replica: Replica) -> None:
    order_id = uuid7()
    await replica.consume(("cancelled", order_id))
    late = await replica.authorize(a_payment_request(order_id))
    assert late.outcome is AuthorizationOutcome.REFUSED
    assert await replica.events(order_id) == []


async def test_a_cancellation_voids_a_payment_with_an_unknown_outcome(replica: Replica) -> None:
    order_id = uuid7()
    lost = await replica.authorize(a_payment_request(order_id, "pm_sandbox_timeout"))
    assert lost.outcome is AuthorizationOutcome.UNKNOWN
    await replica.consume(("cancelled", order_id))
    await replica.settle()
    assert await replica.provider_status(order_id) == ("voided", 0)
    assert await replica.events(order_id) == ["voided"]


async def test_an_authorization_that_answers_after_the_void_has_no_effect(replica: Replica) -> None:
    order_id = uuid7()
    replica.provider.may_answer.clear()
    late = asyncio.create_task(replica.authorize(a_payment_request(order_id)))
    await asyncio.wait_for(replica.provider.has_worked.wait(), 5)
    other = Replica(replica.database)
    voided = await other.void(order_id)
    replica.provider.may_answer.set()
    answer = await late
    assert voided is VoidOutcome.VOIDED
    assert answer.outcome is AuthorizationOutcome.REFUSED
    assert await replica.events(order_id) == ["voided"]
    assert await replica.provider_status(order_id) == ("voided", 0)


async def test_a_void_without_an_answer_is_unknown_and_is_repeated_by_a_worker(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    replica.provider.is_down = True
    answer = await replica.void(order_id)
    assert answer is VoidOutcome.UNKNOWN
    late = await replica.authorize(a_payment_request(order_id))
    assert late.outcome is AuthorizationOutcome.REFUSED, "the void has begun, so the authorization is refused"
    replica.provider.is_down = False
    await replica.expire_leases()
    await replica.settle()
    again = await replica.void(order_id)
    assert again is VoidOutcome.VOIDED
    assert await replica.events(order_id) == ["authorized", "voided"]


async def test_a_provider_that_hangs_is_unknown_and_not_declined(replica: Replica) -> None:
    replica.provider.may_answer.clear()
    order_id = uuid7()
    answer = await replica.authorize(a_payment_request(order_id))
    assert answer.outcome is AuthorizationOutcome.UNKNOWN
    replica.provider.may_answer.set()
    again = await replica.authorize(a_payment_request(order_id))
    assert again.outcome is AuthorizationOutcome.AUTHORIZED


async def test_a_failed_capture_is_repeated_after_a_delay(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    replica.provider.is_down = True
    await replica.payment_settler.run_once()
    captures = replica.provider.captures
    await replica.payment_settler.run_once()
    assert replica.provider.captures == captures, "the capture is not due yet"
    replica.provider.is_down = False

    async def is_captured() -> bool:
        await replica.settle()
        return await replica.events(order_id) == ["authorized", "captured"]

    await eventually(is_captured)


async def test_a_payment_of_a_dead_worker_is_settled_by_another_after_its_lease(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.database.run(lambda connection: store.payments.claim_due(connection, 10))
    other = Replica(replica.database)
    await other.settle()
    assert await replica.events(order_id) == ["authorized"], "the other replica respects the lease"
    await replica.expire_leases()
    await other.settle()
    assert await replica.events(order_id) == ["authorized", "captured"]


async def test_a_worker_that_froze_past_its_lease_does_no_harm(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    replica.provider.may_answer.clear()
    replica.provider.has_worked.clear()
    late = asyncio.create_task(replica.payment_settler.run_once())
    await asyncio.wait_for(replica.provider.has_worked.wait(), 5)
    await replica.expire_leases()
    await Replica(replica.database).settle()
    replica.provider.may_answer.set()
    await late
    assert await replica.events(order_id) == ["authorized", "captured"]
    assert await replica.balances(order_id) == CAPTURED


async def test_two_replicas_share_the_work_and_book_each_payment_once(replica: Replica) -> None:
    order_ids = [await replica.authorized_order() for _ in range(20)]
    await replica.consume(*(("confirmed", order_id) for order_id in order_ids))
    replicas = [replica, Replica(replica.database)]
    await asyncio.gather(*(replica.settle() for replica in replicas for _ in range(3)))
    await replica.consume(*(("cancelled", order_id) for order_id in order_ids))
    await asyncio.gather(*(replica.settle() for replica in replicas for _ in range(3)))
    for order_id in order_ids:
        assert await replica.events(order_id) == ["authorized", "captured", "refunded"]
        assert await replica.balances(order_id) == REFUNDED


async def test_a_refund_with_a_lost_answer_is_performed_and_booked_once(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    await replica.consume(("cancelled", order_id))
    replica.provider.loses_answers = True
    await replica.refund_settler.run_once()
    assert await replica.balances(order_id) == CAPTURED
    replica.provider.loses_answers = False
    await replica.expire_leases()
    await replica.settle()
    assert await replica.provider_status(order_id) == ("captured", 4_999)
    assert await replica.balances(order_id) == REFUNDED


async def test_a_refund_worker_that_froze_past_its_lease_books_nothing_twice(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    await replica.consume(("cancelled", order_id))
    replica.provider.may_answer.clear()
    replica.provider.has_worked.clear()
    late = asyncio.create_task(replica.refund_settler.run_once())
    await asyncio.wait_for(replica.provider.has_worked.wait(), 5)
    await replica.expire_leases()
    await Replica(replica.database).settle()
    replica.provider.may_answer.set()
    await late
    assert await replica.events(order_id) == ["authorized", "captured", "refunded"]
    assert await replica.balances(order_id) == REFUNDED
    assert (await replica.payment(order_id)).refunded_minor == 4_999


async def test_a_refund_that_the_provider_refuses_is_logged_and_can_be_requested_again(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.settle()
    await replica.consume(("cancelled", order_id))
    replica.provider.refuses_with = "account_closed"
    with structlog.testing.capture_logs() as logs:
        await replica.settle()
    assert [line["code"] for line in logs if line["log_level"] == "error"] == ["account_closed"]
    assert (await replica.payment(order_id)).refundable_minor == 4_999
    assert await replica.balances(order_id) == CAPTURED
    replica.provider.refuses_with = ""
    refund = RefundToCreate(
        payment_id=(await replica.payment(order_id)).id,
        amount=None,
        reason="by hand",
        key=RefundKey(uuid7(), "once"),
        fingerprint=b"fingerprint",
    )
    await request_refund(replica.database, replica.client, refund)
    assert await replica.balances(order_id) == REFUNDED


async def test_a_manual_capture_without_an_answer_is_repeated_by_a_worker(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    replica.provider.is_down = True
    payment_id = (await replica.payment(order_id)).id
    await capture_manually(replica.database, replica.client, payment_id)
    assert await replica.events(order_id) == ["authorized"]
    replica.provider.is_down = False
    await replica.expire_leases()
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "captured"]


async def test_a_capture_that_the_provider_refuses_is_logged_as_an_error_and_not_booked(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.consume(("confirmed", order_id))
    await replica.provider.void([(await replica.payment(order_id)).id])
    with structlog.testing.capture_logs() as logs:
        await replica.settle()
    assert [line["log_level"] for line in logs] == ["info", "error"]
    assert await replica.events(order_id) == ["authorized", "voided"]
    assert (await replica.payment(order_id)).code == "voided"
    assert await replica.balances(order_id) == {}


async def test_a_confirmation_of_a_voided_payment_is_logged_as_an_error_and_changes_nothing(replica: Replica) -> None:
    order_id = await replica.authorized_order()
    await replica.void(order_id)
    with structlog.testing.capture_logs() as logs:
        await replica.consume(("confirmed", order_id), ("confirmed", uuid7()))
    assert [line["log_level"] for line in logs] == ["error", "error"]
    await replica.settle()
    assert await replica.events(order_id) == ["authorized", "voided"]


async def test_an_authorization_whose_outcome_cannot_be_written_is_unknown(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = uuid7()
    run, runs = replica.database.run_statement, 0

    async def fail_at_the_outcome(work: object) -> object:
        nonlocal runs
        runs += 1
        if runs == 3:  # After the intent and the record of the sandbox: the outcome.
            raise Unavailable
        return await run(work)  # type: ignore[arg-type]

    monkeypatch.setattr(replica.database, "run_statement", fail_at_the_outcome)
    answer = await replica.authorize(a_payment_request(order_id))
    monkeypatch.undo()
    assert answer.outcome is AuthorizationOutcome.UNKNOWN
    found = await replica.authorize(a_payment_request(order_id))
    assert found.outcome is AuthorizationOutcome.AUTHORIZED
    assert await replica.events(order_id) == ["authorized"]


async def test_new_work_wakes_the_loop_that_does_it(replica: Replica) -> None:
    woken: list[str] = []
    for kind in (store.payments.ACTION_PENDING, store.refunds.CREATED):
        replica.database.after_commit(kind, lambda kind=kind: woken.append(kind))
    order_id = await replica.authorized_order()
    assert woken == []
    await replica.consume(("confirmed", order_id))
    assert woken == [store.payments.ACTION_PENDING]
    await replica.settle()
    await replica.consume(("confirmed", order_id), ("cancelled", order_id))
    assert woken == [store.payments.ACTION_PENDING, store.refunds.CREATED]


async def test_retry_delays_grow_up_to_a_limit() -> None:
    delays = [retry_delay_s(attempts) for attempts in range(12)]
    assert delays == sorted(delays)
    assert delays[-1] == RETRY_MAX_S
