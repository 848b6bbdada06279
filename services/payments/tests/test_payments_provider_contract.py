"""What every provider has to keep to, whichever it is. Runs against the sandbox; a real one is added to `provider`."""

import asyncio

import pytest
from uuid_utils.compat import uuid7

from chassis.persistence.database import Database
from payments.domain.payment_provider import Approved, Declined, GiveBack, Hold, NotDone, Provider, Standing, Unknown
from payments.providers.sandbox import DEFAULT_TOKEN, Sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=["sandbox"])
def provider(request: pytest.FixtureRequest, database: Database) -> Provider:
    return {"sandbox": Sandbox}[request.param](database)


def a_hold(token: str = DEFAULT_TOKEN) -> Hold:
    return Hold(payment_id=uuid7(), token=token, amount_minor=4_999, currency="USD")


def a_refund(hold: Hold, amount_minor: int) -> GiveBack:
    return GiveBack(refund_id=uuid7(), payment_id=hold.payment_id, amount_minor=amount_minor, currency="USD")


async def standing(provider: Provider, hold: Hold) -> Standing:
    [found] = await provider.lookup([hold.payment_id])
    assert isinstance(found, Standing)
    return found


async def test_it_answers_one_for_one_in_order(provider: Provider) -> None:
    holds = [a_hold(), a_hold("pm_card_chargeDeclined"), a_hold("pm_no_such"), a_hold()]
    answers = await provider.authorize(holds)
    assert answers == [Approved(), Declined("card_declined"), Declined("unknown_payment_method"), Approved()]


async def test_an_authorization_asked_again_is_the_same_one(provider: Provider) -> None:
    hold = a_hold()
    assert await provider.authorize([hold]) == await provider.authorize([hold]) == [Approved()]
    declined = a_hold("pm_card_chargeDeclinedInsufficientFunds")
    assert await provider.authorize([declined]) == await provider.authorize([declined])


async def test_what_was_never_asked_is_unheard_and_stays_so(provider: Provider) -> None:
    hold = a_hold()
    assert await standing(provider, hold) == await standing(provider, hold) == Standing("unheard")
    assert await provider.authorize([hold]) == [Approved()]


async def test_a_capture_asked_again_takes_the_money_once(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    assert await provider.capture([hold]) == await provider.capture([hold]) == [Approved()]
    assert await standing(provider, hold) == Standing("captured")
    [too_much] = await provider.refund([a_refund(hold, hold.amount_minor + 1)])
    assert isinstance(too_much, Declined)


async def test_a_capture_after_a_void_is_refused(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    assert await provider.void([hold.payment_id]) == [Approved()]
    assert await provider.capture([hold]) == [Declined("voided")]


async def test_a_capture_of_what_was_never_authorized_is_refused(provider: Provider) -> None:
    [answer] = await provider.capture([a_hold()])
    assert isinstance(answer, Declined)


async def test_a_void_after_a_void_changes_nothing(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    assert await provider.void([hold.payment_id]) == await provider.void([hold.payment_id]) == [Approved()]


async def test_a_void_that_comes_first_refuses_the_late_authorization(provider: Provider) -> None:
    hold = a_hold()
    assert await provider.void([hold.payment_id]) == [Approved()]
    assert await provider.authorize([hold]) == [Declined("voided")]


async def test_a_void_of_a_declined_payment_has_nothing_to_do(provider: Provider) -> None:
    hold = a_hold("pm_card_chargeDeclined")
    await provider.authorize([hold])
    assert await provider.void([hold.payment_id]) == [Approved()]


async def test_a_void_after_a_capture_says_so(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    await provider.capture([hold])
    assert await provider.void([hold.payment_id]) == [Declined("captured")]
    assert await standing(provider, hold) == Standing("captured")


async def test_a_refund_asked_again_gives_back_once(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    await provider.capture([hold])
    refund = a_refund(hold, 1_000)
    assert await provider.refund([refund]) == await provider.refund([refund]) == [Approved()]
    assert (await standing(provider, hold)).refunded_minor == 1_000


async def test_refunds_never_exceed_what_was_taken(provider: Provider) -> None:
    hold = a_hold()
    await provider.authorize([hold])
    [early] = await provider.refund([a_refund(hold, 1)])
    assert isinstance(early, Declined)
    await provider.capture([hold])
    answers = await provider.refund([a_refund(hold, 3_000), a_refund(hold, 3_000), a_refund(hold, 1_999)])
    assert [type(answer) for answer in answers] == [Approved, Declined, Approved]


async def test_of_a_capture_and_a_void_at_once_one_wins_for_good(provider: Provider) -> None:
    holds = [a_hold() for _ in range(20)]
    await provider.authorize(holds)
    captures, voids = await asyncio.gather(provider.capture(holds), provider.void([hold.payment_id for hold in holds]))
    for hold, capture, void in zip(holds, captures, voids, strict=True):
        assert isinstance(capture, Approved) != isinstance(void, Approved)
        assert (await standing(provider, hold)).state == ("captured" if isinstance(capture, Approved) else "voided")


async def test_the_sandbox_loses_an_answer_and_has_done_the_work(database: Database) -> None:
    sandbox, hold = Sandbox(database), a_hold("pm_sandbox_timeout")
    assert await sandbox.authorize([hold]) == [Unknown()]
    assert await standing(sandbox, hold) == Standing("authorized")
    assert await sandbox.authorize([hold]) == [Approved()]


async def test_the_sandbox_is_down_three_times_for_each_payment_and_then_works(database: Database) -> None:
    sandbox, holds = Sandbox(database), [a_hold("pm_sandbox_down"), a_hold("pm_sandbox_down")]
    for _ in range(3):
        assert await sandbox.authorize(holds) == [NotDone(), NotDone()]
        assert await standing(sandbox, holds[0]) == Standing("unheard")
    assert await sandbox.authorize(holds) == [Approved(), Approved()]
