"""The contract of payment providers. It runs against the sandbox; the fixture `provider` lists further providers."""

import asyncio

import pytest
from uuid_utils.compat import uuid7

from chassis.persistence.database import Database
from payments.clients.sandbox_provider import DEFAULT_TOKEN, Sandbox
from payments.domain.payment_provider import (
    Approved,
    AuthorizationRequest,
    CaptureRequest,
    Declined,
    NotDone,
    PaymentProvider,
    ProviderState,
    ProviderStatus,
    RefundRequest,
    Unknown,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=["sandbox"])
def provider(request: pytest.FixtureRequest, database: Database) -> PaymentProvider:
    return {"sandbox": Sandbox}[request.param](database)


def a_request(token: str = DEFAULT_TOKEN) -> AuthorizationRequest:
    return AuthorizationRequest(payment_id=uuid7(), token=token, amount_minor=4_999, currency="USD")


def capture_of(request: AuthorizationRequest) -> CaptureRequest:
    return CaptureRequest(payment_id=request.payment_id, amount_minor=request.amount_minor, currency=request.currency)


def a_refund(request: AuthorizationRequest, amount_minor: int) -> RefundRequest:
    return RefundRequest(refund_id=uuid7(), payment_id=request.payment_id, amount_minor=amount_minor, currency="USD")


async def status(provider: PaymentProvider, request: AuthorizationRequest) -> ProviderStatus:
    [found] = await provider.lookup([request.payment_id])
    assert isinstance(found, ProviderStatus)
    return found


async def test_answers_are_in_the_order_of_the_requests(provider: PaymentProvider) -> None:
    requests = [a_request(), a_request("pm_card_chargeDeclined"), a_request("pm_no_such"), a_request()]
    answers = await provider.authorize(requests)
    assert answers == [Approved(), Declined("card_declined"), Declined("unknown_payment_method"), Approved()]


async def test_a_repeated_authorization_gets_the_same_answer(provider: PaymentProvider) -> None:
    request = a_request()
    assert await provider.authorize([request]) == await provider.authorize([request]) == [Approved()]
    declined = a_request("pm_card_chargeDeclinedInsufficientFunds")
    assert await provider.authorize([declined]) == await provider.authorize([declined])


async def test_a_lookup_of_an_unknown_payment_has_no_effect(provider: PaymentProvider) -> None:
    request = a_request()
    assert (
        await status(provider, request) == await status(provider, request) == ProviderStatus(ProviderState.NOT_RECEIVED)
    )
    assert await provider.authorize([request]) == [Approved()]


async def test_a_repeated_capture_moves_the_money_once(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    assert (
        await provider.capture([capture_of(request)]) == await provider.capture([capture_of(request)]) == [Approved()]
    )
    assert await status(provider, request) == ProviderStatus(ProviderState.CAPTURED)
    [too_much] = await provider.refund([a_refund(request, request.amount_minor + 1)])
    assert isinstance(too_much, Declined)


async def test_a_capture_after_a_void_is_declined(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    assert await provider.void([request.payment_id]) == [Approved()]
    assert await provider.capture([capture_of(request)]) == [Declined("voided")]


async def test_a_capture_without_an_authorization_is_declined(provider: PaymentProvider) -> None:
    [answer] = await provider.capture([capture_of(a_request())])
    assert isinstance(answer, Declined)


async def test_a_repeated_void_gets_the_same_answer(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    assert await provider.void([request.payment_id]) == await provider.void([request.payment_id]) == [Approved()]


async def test_a_void_declines_an_authorization_that_arrives_later(provider: PaymentProvider) -> None:
    request = a_request()
    assert await provider.void([request.payment_id]) == [Approved()]
    assert await provider.authorize([request]) == [Declined("voided")]


async def test_a_void_of_a_declined_payment_is_approved(provider: PaymentProvider) -> None:
    request = a_request("pm_card_chargeDeclined")
    await provider.authorize([request])
    assert await provider.void([request.payment_id]) == [Approved()]


async def test_a_void_after_a_capture_is_declined(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    await provider.capture([capture_of(request)])
    assert await provider.void([request.payment_id]) == [Declined("captured")]
    assert await status(provider, request) == ProviderStatus(ProviderState.CAPTURED)


async def test_a_repeated_refund_moves_the_money_once(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    await provider.capture([capture_of(request)])
    refund = a_refund(request, 1_000)
    assert await provider.refund([refund]) == await provider.refund([refund]) == [Approved()]
    assert (await status(provider, request)).refunded_minor == 1_000


async def test_refunds_never_exceed_the_captured_amount(provider: PaymentProvider) -> None:
    request = a_request()
    await provider.authorize([request])
    [early] = await provider.refund([a_refund(request, 1)])
    assert isinstance(early, Declined)
    await provider.capture([capture_of(request)])
    answers = await provider.refund([a_refund(request, 3_000), a_refund(request, 3_000), a_refund(request, 1_999)])
    assert [type(answer) for answer in answers] == [Approved, Declined, Approved]


async def test_one_of_a_concurrent_capture_and_void_wins(provider: PaymentProvider) -> None:
    requests = [a_request() for _ in range(20)]
    await provider.authorize(requests)
    captures, voids = await asyncio.gather(
        provider.capture([capture_of(request) for request in requests]),
        provider.void([request.payment_id for request in requests]),
    )
    for request, capture, void in zip(requests, captures, voids, strict=True):
        assert isinstance(capture, Approved) != isinstance(void, Approved)
        assert (await status(provider, request)).state == ("captured" if isinstance(capture, Approved) else "voided")


async def test_the_sandbox_loses_an_answer_of_a_performed_authorization(database: Database) -> None:
    sandbox, request = Sandbox(database), a_request("pm_sandbox_timeout")
    assert await sandbox.authorize([request]) == [Unknown()]
    assert await status(sandbox, request) == ProviderStatus(ProviderState.AUTHORIZED)
    assert await sandbox.authorize([request]) == [Approved()]


async def test_the_sandbox_fails_three_times_for_each_payment_and_then_succeeds(database: Database) -> None:
    sandbox, requests = Sandbox(database), [a_request("pm_sandbox_down"), a_request("pm_sandbox_down")]
    for _ in range(3):
        assert await sandbox.authorize(requests) == [NotDone(), NotDone()]
        assert await status(sandbox, requests[0]) == ProviderStatus(ProviderState.NOT_RECEIVED)
    assert await sandbox.authorize(requests) == [Approved(), Approved()]
