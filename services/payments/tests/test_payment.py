"""The state machine alone.

Every order of happenings that hypothesis thinks of is tried against a provider that keeps to its contract.
"""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from uuid_utils.compat import uuid7

from payments.domain import payment as machine
from payments.domain.payment import Change, Fact, Payment, State, Wanted

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


def test_a_cancellation_wins_over_a_capture_that_is_wanted() -> None:
    wanted = machine.confirmed(a_payment(state=State.AUTHORIZED)).payment
    assert machine.cancelled(wanted).payment.wanted is Wanted.GIVE_BACK


def test_a_late_confirmation_does_not_revive_a_cancelled_payment() -> None:
    cancelled = machine.cancelled(a_payment(state=State.AUTHORIZED)).payment
    assert machine.confirmed(cancelled).payment == cancelled


def test_a_capture_that_was_overtaken_by_a_cancellation_is_refunded() -> None:
    overtaken = a_payment(state=State.AUTHORIZED, wanted=Wanted.GIVE_BACK)
    change = machine.captured(overtaken)
    assert change.facts == (Fact.CAPTURED,)
    assert change.refund_minor == AMOUNT


def test_a_cancellation_refunds_only_what_is_left() -> None:
    taken = a_payment(state=State.CAPTURED, refund_requested_minor=1_000, refunded_minor=1_000)
    assert machine.cancelled(taken).refund_minor == AMOUNT - 1_000


def test_a_late_authorization_is_not_recorded_once_a_void_has_begun() -> None:
    voiding = machine.cancelled(a_payment()).payment
    assert machine.authorized(voiding) == Change(voiding)
    assert machine.declined(voiding, "card_declined") == Change(voiding)


def test_a_confirmation_of_a_voided_payment_is_an_anomaly_and_changes_nothing() -> None:
    voided = a_payment(state=State.VOIDED)
    assert machine.confirmed(voided) == Change(voided, is_anomaly=True)


def test_more_than_is_left_can_never_be_asked_back() -> None:
    with pytest.raises(AssertionError):
        machine.refund_requested(a_payment(state=State.CAPTURED), AMOUNT + 1)


LEGAL = {
    None: {Fact.AUTHORIZED, Fact.DECLINED, Fact.VOIDED},
    Fact.AUTHORIZED: {Fact.CAPTURED, Fact.VOIDED},
    Fact.DECLINED: set[Fact](),
    Fact.VOIDED: set[Fact](),
    Fact.CAPTURED: set[Fact](),
}


class AnyOrderOfHappenings(RuleBasedStateMachine):
    """Events twice and shuffled, workers that overlap, answers that are late or lost, and a provider that is exact.

    A call to the provider takes effect at once and its answer waits in `answers`, to be delivered whenever hypothesis
    says so, or never: a worker that froze, or died in between.
    """

    @initialize()
    def begin(self) -> None:
        self.payment = a_payment()
        self.provider = "unheard"
        self.captured_minor = self.refunded_minor = 0
        self.facts: list[Fact] = []
        self.answers: list[tuple[str, str]] = []
        self.refunds: list[int] = []  # asked for, and not known to be given
        self.given: set[int] = set()  # by the provider, as indices into all_refunds
        self.all_refunds: list[int] = []
        self.done: set[int] = set()
        self.is_confirmed = self.is_cancelled = False

    def take(self, change: Change) -> None:
        for fact in change.facts:
            assert fact in LEGAL[self.facts[-1] if self.facts else None], f"{fact} after {self.facts}"
            self.facts.append(fact)
        if change.refund_minor:
            self.all_refunds.append(change.refund_minor)
        self.payment = change.payment

    # What others do.

    @rule(declines=st.booleans())
    def orders_asks_to_authorize(self, declines: bool) -> None:
        if self.payment.state is not State.INTENDED or self.payment.wanted is Wanted.GIVE_BACK:
            return
        if self.provider == "unheard":
            self.provider = "declined" if declines else "authorized"
        self.answers.append(("authorize", self.provider))

    @precondition(lambda self: self.payment.state is State.AUTHORIZED)
    @rule()
    def the_order_is_confirmed(self) -> None:
        # Orders confirms only what it was told is authorized; the event may come twice.
        self.is_confirmed = True
        self.take(machine.confirmed(self.payment))

    @precondition(lambda self: self.is_confirmed)
    @rule()
    def the_confirmation_comes_again(self) -> None:
        self.take(replace(machine.confirmed(self.payment), is_anomaly=False))

    @rule()
    def the_order_is_cancelled(self) -> None:
        self.is_cancelled = True
        self.take(machine.cancelled(self.payment))

    @rule(part=st.integers(1, AMOUNT))
    def an_administrator_refunds(self, part: int) -> None:
        if part <= self.payment.left_minor:
            self.take(machine.refund_requested(self.payment, part))

    # What the loops do.

    @rule()
    def a_worker_asks_to_settle(self) -> None:
        if self.payment.wanted is Wanted.CAPTURE and self.payment.state is State.AUTHORIZED:
            if self.provider == "authorized":
                self.provider = "captured"
                self.captured_minor += AMOUNT
            self.answers.append(("capture", self.provider))
        elif self.payment.wanted is Wanted.GIVE_BACK:
            if self.provider in {"authorized", "unheard"}:
                self.provider = "voided"
            self.answers.append(("void", self.provider))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_comes(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.answers) - 1))
        self.deliver(*self.answers.pop(index))

    def deliver(self, operation: str, answer: str) -> None:
        match operation, answer:
            case "authorize", "authorized" | "captured":
                self.take(machine.authorized(self.payment))
            case "authorize", refused:
                self.take(machine.declined(self.payment, refused))
            case "capture", "captured":
                self.take(machine.captured(self.payment))
            case "capture", refused:
                self.take(replace(machine.capture_refused(self.payment, refused), is_anomaly=False))
            case "void", "captured":
                self.take(machine.captured(self.payment))
            case "void", _:
                self.take(machine.voided(self.payment))

    @precondition(lambda self: self.answers)
    @rule()
    def an_answer_is_lost(self) -> None:
        self.answers.pop()

    @rule(is_answered=st.booleans())
    def a_worker_gives_refunds(self, is_answered: bool) -> None:
        for index, amount_minor in enumerate(self.all_refunds):
            if index not in self.given:
                self.given.add(index)
                self.refunded_minor += amount_minor
            if is_answered and index not in self.done:
                self.done.add(index)
                self.payment = machine.refunded(self.payment, amount_minor)

    # What has to hold, whenever.

    @invariant()
    def money_is_taken_at_most_once(self) -> None:
        assert self.captured_minor in {0, AMOUNT}
        assert self.facts.count(Fact.CAPTURED) <= 1

    @invariant()
    def never_more_is_given_back_than_was_taken(self) -> None:
        assert self.refunded_minor <= self.captured_minor
        assert self.payment.refunded_minor <= self.payment.refund_requested_minor <= self.payment.amount_minor

    def teardown(self) -> None:
        """Everything heals, and is quiet: then the money is where the order says."""
        while self.answers:
            self.deliver(*self.answers.pop(0))
        for _ in range(3):
            self.a_worker_asks_to_settle()
            while self.answers:
                self.deliver(*self.answers.pop(0))
        self.a_worker_gives_refunds(is_answered=True)
        assert self.payment.wanted is None or self.payment.state is State.INTENDED
        assert self.payment.refunded_minor == self.refunded_minor
        assert (Fact.CAPTURED in self.facts) == (self.captured_minor == AMOUNT), "we know what the provider did"
        if self.is_cancelled:
            assert self.captured_minor == self.refunded_minor
            assert self.provider in {"unheard", "declined", "voided", "captured"}, "nothing is held"
        elif self.is_confirmed:
            assert self.captured_minor == AMOUNT
            assert self.refunded_minor == sum(self.all_refunds)


TestAnyOrderOfHappenings = AnyOrderOfHappenings.TestCase
TestAnyOrderOfHappenings.settings = settings(max_examples=120, stateful_step_count=20, deadline=None)
