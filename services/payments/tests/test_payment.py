"""The state machine of payments, tested with many orders of events and a provider that keeps its contract."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from uuid_utils.compat import uuid7

from payments.domain.payment import Change, EventType, Payment, PaymentState, PendingAction
from payments.domain.refund import Refund

AMOUNT = 4_999


def a_payment(**fields: object) -> Payment:
    payment = Payment(
        id=uuid7(),
        order_id=uuid7(),
        user_id=uuid7(),
        amount_minor=AMOUNT,
        currency="USD",
        method_token="pm_card_visa",
        correlation_id="test",
    )
    return replace(payment, **fields)  # type: ignore[arg-type]


def test_a_cancellation_wins_over_a_pending_capture() -> None:
    confirmed = a_payment(state=PaymentState.AUTHORIZED).request_capture().payment
    assert confirmed.cancel().payment.pending_action is PendingAction.VOID


def test_a_late_confirmation_does_not_revive_a_cancelled_payment() -> None:
    cancelled = a_payment(state=PaymentState.AUTHORIZED).cancel().payment
    assert cancelled.request_capture().payment == cancelled


def test_a_capture_that_a_cancellation_has_overtaken_is_refunded() -> None:
    overtaken = a_payment(state=PaymentState.AUTHORIZED, pending_action=PendingAction.VOID)
    change = overtaken.capture()
    assert change.events == (EventType.CAPTURED,)
    assert change.refund_minor == AMOUNT


def test_a_cancellation_refunds_only_the_amount_without_a_refund() -> None:
    captured = a_payment(state=PaymentState.CAPTURED, refund_requested_minor=1_000, refunded_minor=1_000)
    assert captured.cancel().refund_minor == AMOUNT - 1_000


def test_a_late_authorization_has_no_effect_once_a_void_has_begun() -> None:
    voiding = a_payment().cancel().payment
    assert voiding.authorize() == Change(voiding, voiding)
    assert voiding.decline("card_declined") == Change(voiding, voiding)


def test_a_confirmation_of_a_voided_payment_is_an_anomaly_and_changes_nothing() -> None:
    voided = a_payment(state=PaymentState.VOIDED)
    assert voided.request_capture() == Change(voided, voided, is_anomaly=True)


def test_a_refund_cannot_exceed_the_refundable_amount() -> None:
    with pytest.raises(AssertionError):
        a_payment(state=PaymentState.CAPTURED).request_refund(AMOUNT + 1)


def test_a_refund_ends_once_and_a_failed_one_can_be_requested_again() -> None:
    payment = a_payment(state=PaymentState.CAPTURED).request_refund(AMOUNT).payment
    refund = Refund(
        id=uuid7(),
        payment_id=payment.id,
        amount_minor=AMOUNT,
        currency="USD",
        reason="a scratch",
        correlation_id="test",
        traceparent=None,
    )
    completed = refund.complete(payment)
    assert completed.event is EventType.REFUNDED
    assert completed.payment.payment.refunded_minor == AMOUNT
    failed = refund.fail(payment, "account_closed")
    assert (failed.event, failed.refund.code) == (None, "account_closed")
    assert failed.payment.payment.refundable_minor == AMOUNT
    for change in (completed, failed):
        with pytest.raises(AssertionError):
            change.refund.complete(payment)


LEGAL = {
    None: {EventType.AUTHORIZED, EventType.DECLINED, EventType.VOIDED},
    EventType.AUTHORIZED: {EventType.CAPTURED, EventType.VOIDED},
    EventType.DECLINED: set[EventType](),
    EventType.VOIDED: set[EventType](),
    EventType.CAPTURED: set[EventType](),
}


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Repeated and reordered events, overlapping workers, and answers that are late or lost.

    A call to the provider takes effect at once. Its answer waits in `answers` until hypothesis delivers it; an answer
    that is never delivered belongs to a worker that froze or died.
    """

    @initialize()
    def begin(self) -> None:
        self.payment = a_payment()
        self.provider = "not received"
        self.captured_minor = self.refunded_minor = 0
        self.events: list[EventType] = []
        self.answers: list[tuple[str, str]] = []
        self.refunds: list[int] = []  # Requested, with an unknown outcome.
        self.performed: set[int] = set()  # Performed by the provider: indices into all_refunds.
        self.all_refunds: list[int] = []
        self.done: set[int] = set()
        self.is_confirmed = self.is_cancelled = False

    def apply(self, change: Change) -> None:
        for event in change.events:
            assert event in LEGAL[self.events[-1] if self.events else None], f"{event} after {self.events}"
            self.events.append(event)
        if change.refund_minor:
            self.all_refunds.append(change.refund_minor)
        self.payment = change.payment

    # Actions of orders and administrators.

    @rule(declines=st.booleans())
    def orders_authorizes(self, declines: bool) -> None:
        if self.payment.state is not PaymentState.INTENDED or self.payment.pending_action is PendingAction.VOID:
            return
        if self.provider == "not received":
            self.provider = "declined" if declines else "authorized"
        self.answers.append(("authorize", self.provider))

    @precondition(lambda self: self.payment.state is PaymentState.AUTHORIZED)
    @rule()
    def the_order_is_confirmed(self) -> None:
        # Orders confirms only an order whose payment is authorized; the event may arrive twice.
        self.is_confirmed = True
        self.apply(self.payment.request_capture())

    @precondition(lambda self: self.is_confirmed)
    @rule()
    def the_confirmation_is_repeated(self) -> None:
        self.apply(replace(self.payment.request_capture(), is_anomaly=False))

    @rule()
    def the_order_is_cancelled(self) -> None:
        self.is_cancelled = True
        self.apply(self.payment.cancel())

    @rule(part=st.integers(1, AMOUNT))
    def an_administrator_refunds(self, part: int) -> None:
        if part <= self.payment.refundable_minor:
            self.apply(self.payment.request_refund(part))

    # Actions of the workers.

    @rule()
    def a_worker_settles(self) -> None:
        if self.payment.pending_action is PendingAction.CAPTURE and self.payment.state is PaymentState.AUTHORIZED:
            if self.provider == "authorized":
                self.provider = "captured"
                self.captured_minor += AMOUNT
            self.answers.append(("capture", self.provider))
        elif self.payment.pending_action is PendingAction.VOID:
            if self.provider in {"authorized", "not received"}:
                self.provider = "voided"
            self.answers.append(("void", self.provider))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.answers) - 1))
        self.deliver(*self.answers.pop(index))

    def deliver(self, operation: str, answer: str) -> None:
        match operation, answer:
            case "authorize", "authorized" | "captured":
                self.apply(self.payment.authorize())
            case "authorize", refused:
                self.apply(self.payment.decline(refused))
            case "capture", "captured":
                self.apply(self.payment.capture())
            case "capture", refused:
                self.apply(replace(self.payment.fail_capture(refused), is_anomaly=False))
            case "void", "captured":
                self.apply(self.payment.capture())
            case "void", _:
                self.apply(self.payment.void())

    @precondition(lambda self: self.answers)
    @rule()
    def an_answer_is_lost(self) -> None:
        self.answers.pop()

    @rule(is_answered=st.booleans())
    def a_worker_settles_refunds(self, is_answered: bool) -> None:
        for index, amount_minor in enumerate(self.all_refunds):
            if index not in self.performed:
                self.performed.add(index)
                self.refunded_minor += amount_minor
            if is_answered and index not in self.done:
                self.done.add(index)
                self.payment = self.payment.complete_refund(amount_minor).payment

    # Invariants.

    @invariant()
    def money_is_captured_at_most_once(self) -> None:
        assert self.captured_minor in {0, AMOUNT}
        assert self.events.count(EventType.CAPTURED) <= 1

    @invariant()
    def refunds_never_exceed_the_capture(self) -> None:
        assert self.refunded_minor <= self.captured_minor
        assert self.payment.refunded_minor <= self.payment.refund_requested_minor <= self.payment.amount_minor

    def teardown(self) -> None:
        """After all faults are repaired and all work is done, the money is where the order requires."""
        while self.answers:
            self.deliver(*self.answers.pop(0))
        for _ in range(3):
            self.a_worker_settles()
            while self.answers:
                self.deliver(*self.answers.pop(0))
        self.a_worker_settles_refunds(is_answered=True)
        assert self.payment.pending_action is None or self.payment.state is PaymentState.INTENDED
        assert self.payment.refunded_minor == self.refunded_minor
        assert (EventType.CAPTURED in self.events) == (self.captured_minor == AMOUNT), (
            "payments and the provider agree on the capture"
        )
        if self.is_cancelled:
            assert self.captured_minor == self.refunded_minor
            assert self.provider in {"not received", "declined", "voided", "captured"}, "nothing is held"
        elif self.is_confirmed:
            assert self.captured_minor == AMOUNT
            assert self.refunded_minor == sum(self.all_refunds)


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
TestAnyOrderOfEvents.settings = settings(max_examples=120, stateful_step_count=20, deadline=None)
