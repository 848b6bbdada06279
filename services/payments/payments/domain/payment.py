"""A payment: its states, and what each happening makes of it. Pure, so that every order of happenings can be tried.

    intended --> authorized --> captured (then refunds, up to what was captured)
        |            |
        +------------+--> voided
        |
        +--> declined

What is wanted of a payment is kept apart from its state: `capture` since the order is confirmed, `give_back` since it
is cancelled. A cancellation always wins, whenever it comes: what is held is voided, what was taken is refunded. So a
capture that is on its way meanwhile needs no lock; its late answer finds `give_back` and turns into a refund.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

NO_CURRENCY = "XXX"
"""ISO 4217's own code for a transaction without a currency: what a tombstone has."""


class State(StrEnum):
    """What is known about the money."""

    INTENDED = "intended"
    """The provider may have been asked; what it did is not known."""
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    VOIDED = "voided"
    """Nothing is held, and nothing ever will be for this order."""
    CAPTURED = "captured"


class Wanted(StrEnum):
    """What has yet to be done at the provider."""

    CAPTURE = "capture"
    GIVE_BACK = "give_back"


class Fact(StrEnum):
    """What has happened, by the type of the event that tells it."""

    AUTHORIZED = "payment.authorized"
    DECLINED = "payment.declined"
    VOIDED = "payment.voided"
    CAPTURED = "payment.captured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The one payment of an order. Without a user it is a tombstone: a void that came before anything to void."""

    id: UUID
    order_id: UUID
    user_id: UUID | None
    amount_minor: int
    currency: str
    method_token: str
    state: State = State.INTENDED
    wanted: Wanted | None = None
    code: str | None = None
    """Why it was declined, or why a capture was refused."""
    refund_requested_minor: int = 0
    """The refunds that were asked for: done and pending."""
    refunded_minor: int = 0
    attempts: int = 0
    correlation_id: str
    """Of the work that last wanted something of this payment; `traceparent` and `actor` likewise."""
    traceparent: str | None = None
    actor: str | None = None

    @property
    def left_minor(self) -> int:
        """What can still be refunded."""
        return self.amount_minor - self.refund_requested_minor if self.state is State.CAPTURED else 0


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a payment; to be written together with its facts, in one transaction."""

    payment: Payment
    facts: tuple[Fact, ...] = ()
    refund_minor: int = 0
    """A refund to ask for; `payment.refund_requested_minor` has it already."""
    is_anomaly: bool = False
    """This cannot happen while everybody keeps to the protocol: somebody should look."""


def authorized(payment: Payment) -> Change:
    """The provider holds the money."""
    if payment.state is not State.INTENDED or payment.wanted is Wanted.GIVE_BACK:
        # A repetition; or a void has begun, which will let go of what is held now.
        return Change(payment)
    return Change(replace(payment, state=State.AUTHORIZED), (Fact.AUTHORIZED,))


def declined(payment: Payment, code: str) -> Change:
    """The provider will not hold the money, and gives `code` as the reason."""
    if payment.state is not State.INTENDED or payment.wanted is Wanted.GIVE_BACK:
        return Change(payment)
    return Change(replace(payment, state=State.DECLINED, code=code, wanted=None), (Fact.DECLINED,))


def confirmed(payment: Payment) -> Change:
    """The order is confirmed: take the money."""
    if payment.state in {State.VOIDED, State.DECLINED}:
        return Change(payment, is_anomaly=True)
    if payment.state is State.CAPTURED or payment.wanted is not None:
        # Captured or asked to be, already; or cancelled, which wins over a confirmation that comes late.
        return Change(payment)
    return Change(replace(payment, wanted=Wanted.CAPTURE))


def cancelled(payment: Payment) -> Change:
    """The order is cancelled: let go of what is held, give back what was taken."""
    if payment.state in {State.INTENDED, State.AUTHORIZED}:
        return Change(replace(payment, wanted=Wanted.GIVE_BACK))
    return _refund_rest(payment)


def captured(payment: Payment) -> Change:
    """The provider has taken the money, whether we had just asked it to or learn so by asking to void."""
    if payment.state is not State.AUTHORIZED:
        return Change(payment, is_anomaly=payment.state is not State.CAPTURED)
    taken = replace(payment, state=State.CAPTURED, wanted=None)
    if payment.wanted is Wanted.GIVE_BACK:
        refund = _refund_rest(taken)
        return Change(refund.payment, (Fact.CAPTURED,), refund.refund_minor)
    return Change(taken, (Fact.CAPTURED,))


def capture_refused(payment: Payment, code: str) -> Change:
    """The provider will never take this money: it let go of it by itself, or was told to by somebody else."""
    if payment.state is not State.AUTHORIZED:
        return Change(payment)
    return Change(
        replace(payment, state=State.VOIDED, wanted=None, code=code),
        (Fact.VOIDED,),
        is_anomaly=payment.wanted is Wanted.CAPTURE,
    )


def voided(payment: Payment) -> Change:
    """The provider holds nothing, and will refuse a late authorization."""
    if payment.state not in {State.INTENDED, State.AUTHORIZED}:
        return Change(payment, is_anomaly=payment.state is State.CAPTURED)
    return Change(replace(payment, state=State.VOIDED, wanted=None), (Fact.VOIDED,))


def refund_requested(payment: Payment, amount_minor: int) -> Change:
    """Somebody wants `amount_minor` given back. The caller has checked that so much is left."""
    assert 0 < amount_minor <= payment.left_minor, "more would be given back than was taken"
    requested_minor = payment.refund_requested_minor + amount_minor
    return Change(replace(payment, refund_requested_minor=requested_minor), refund_minor=amount_minor)


def refunded(payment: Payment, amount_minor: int) -> Payment:
    """The provider gave `amount_minor` back. The refund's own state keeps this from being counted twice."""
    return replace(payment, refunded_minor=payment.refunded_minor + amount_minor)


def refund_refused(payment: Payment, amount_minor: int) -> Payment:
    """The provider will not give `amount_minor` back: it can be asked for again."""
    return replace(payment, refund_requested_minor=payment.refund_requested_minor - amount_minor)


def _refund_rest(payment: Payment) -> Change:
    return refund_requested(payment, payment.left_minor) if payment.left_minor else Change(payment)
