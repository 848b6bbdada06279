"""A payment and its state machine. Each transition checks the state and returns the new state and its events.

    intended --> authorized --> captured (then refunds, up to the captured amount)
        |            |
        +------------+--> voided
        |
        +--> declined

The pending action is kept apart from the state: `capture` after the order is confirmed, `void` after it is cancelled.
A cancellation always wins: held money is voided, captured money is refunded. So a capture that is under way needs no
lock: its late answer finds the pending void and becomes a refund.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

NO_CURRENCY = "XXX"
"""ISO 4217's code for a transaction without a currency: the currency of a tombstone."""


class PaymentState(StrEnum):
    """What is known about the money."""

    INTENDED = "intended"
    """The provider may have received the authorization; its outcome is not known."""
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    VOIDED = "voided"
    """No money is held, and none can be held for this order later."""
    CAPTURED = "captured"


class PendingAction(StrEnum):
    """What the provider has yet to do. The values are those of the column `payments.wanted`."""

    CAPTURE = "capture"
    VOID = "give_back"


class EventType(StrEnum):
    """The events of a payment, by the type under which they are emitted."""

    AUTHORIZED = "payment.authorized"
    DECLINED = "payment.declined"
    VOIDED = "payment.voided"
    CAPTURED = "payment.captured"
    REFUNDED = "payment.refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The one payment of an order. A payment without a user is a tombstone: the void came before the authorization."""

    id: UUID
    order_id: UUID
    user_id: UUID | None
    amount_minor: int
    currency: str
    method_token: str
    state: PaymentState = PaymentState.INTENDED
    pending_action: PendingAction | None = None
    code: str | None = None
    """Why the authorization was declined, or why the capture was refused."""
    refund_requested_minor: int = 0
    """The sum of all refunds, completed and pending."""
    refunded_minor: int = 0
    attempts: int = 0
    correlation_id: str
    """Of the request or event that last set a pending action; `traceparent` and `actor` likewise."""
    traceparent: str | None = None
    actor: str | None = None

    @property
    def refundable_minor(self) -> int:
        """How much of the captured amount no refund has been requested for."""
        return self.amount_minor - self.refund_requested_minor if self.state is PaymentState.CAPTURED else 0

    @property
    def is_outcome_open(self) -> bool:
        """Whether the answer to an authorization still decides the state."""
        return self.state is PaymentState.INTENDED and self.pending_action is not PendingAction.VOID

    def authorize(self) -> "Change":
        """The provider holds the money. Without effect on a repeated answer, and once a void has begun."""
        if not self.is_outcome_open:
            return Change(self, self)
        return Change(self, replace(self, state=PaymentState.AUTHORIZED), (EventType.AUTHORIZED,))

    def decline(self, code: str) -> "Change":
        """The provider refused to hold the money; `code` is its reason."""
        if not self.is_outcome_open:
            return Change(self, self)
        declined = replace(self, state=PaymentState.DECLINED, code=code, pending_action=None)
        return Change(self, declined, (EventType.DECLINED,))

    def request_capture(self) -> "Change":
        """The order is confirmed. A confirmation that arrives after the cancellation has no effect."""
        if self.state in {PaymentState.VOIDED, PaymentState.DECLINED}:
            return Change(self, self, is_anomaly=True)
        if self.state is PaymentState.CAPTURED or self.pending_action is not None:
            return Change(self, self)
        return Change(self, replace(self, pending_action=PendingAction.CAPTURE))

    def cancel(self) -> "Change":
        """The order is cancelled: void what is held, refund what was captured."""
        if self.state in {PaymentState.INTENDED, PaymentState.AUTHORIZED}:
            return Change(self, replace(self, pending_action=PendingAction.VOID))
        return self._refund_rest()

    def capture(self) -> "Change":
        """The provider captured the money. The answer to a capture says so, or the answer to a void."""
        if self.state is not PaymentState.AUTHORIZED:
            return Change(self, self, is_anomaly=self.state is not PaymentState.CAPTURED)
        captured = replace(self, state=PaymentState.CAPTURED, pending_action=None)
        change = Change(self, captured, (EventType.CAPTURED,))
        if self.pending_action is PendingAction.VOID:
            return change.then(captured._refund_rest())
        return change

    def fail_capture(self, code: str) -> "Change":
        """The provider will never capture this money: the authorization expired, or was voided at the provider."""
        if self.state is not PaymentState.AUTHORIZED:
            return Change(self, self)
        return Change(
            self,
            replace(self, state=PaymentState.VOIDED, pending_action=None, code=code),
            (EventType.VOIDED,),
            is_anomaly=self.pending_action is PendingAction.CAPTURE,
        )

    def void(self) -> "Change":
        """The provider holds no money, and will decline a late authorization."""
        if self.state not in {PaymentState.INTENDED, PaymentState.AUTHORIZED}:
            return Change(self, self, is_anomaly=self.state is PaymentState.CAPTURED)
        return Change(self, replace(self, state=PaymentState.VOIDED, pending_action=None), (EventType.VOIDED,))

    def request_refund(self, amount_minor: int) -> "Change":
        """Reserve `amount_minor` for a refund. The caller has checked that it is refundable."""
        assert 0 < amount_minor <= self.refundable_minor, "a refund must not exceed the captured amount"
        requested_minor = self.refund_requested_minor + amount_minor
        return Change(self, replace(self, refund_requested_minor=requested_minor), refund_minor=amount_minor)

    def complete_refund(self, amount_minor: int) -> "Change":
        """The provider refunded `amount_minor`. The state of the refund keeps this from being counted twice."""
        return Change(self, replace(self, refunded_minor=self.refunded_minor + amount_minor))

    def fail_refund(self, amount_minor: int) -> "Change":
        """The provider refused to refund `amount_minor`, which can be requested again."""
        return Change(self, replace(self, refund_requested_minor=self.refund_requested_minor - amount_minor))

    def _refund_rest(self) -> "Change":
        return self.request_refund(self.refundable_minor) if self.refundable_minor else Change(self, self)


@dataclass(frozen=True, slots=True)
class Change:
    """The result of a transition. It is written with its events and its refund in one transaction (`apply_changes`)."""

    before: Payment
    payment: Payment
    events: tuple[EventType, ...] = ()
    refund_minor: int = 0
    """The amount of a refund to be created; `payment.refund_requested_minor` includes it."""
    is_anomaly: bool = False
    """The services' protocol excludes this transition: an operator should look into it."""

    def then(self, later: "Change") -> "Change":
        """This change and one that followed it, as a single change."""
        return Change(
            before=self.before,
            payment=later.payment,
            events=self.events + later.events,
            refund_minor=self.refund_minor + later.refund_minor,
            is_anomaly=self.is_anomaly or later.is_anomaly,
        )

    @property
    def has_effect(self) -> bool:
        return self.payment != self.before

    def caused_by(self, *, correlation_id: str, traceparent: str | None, actor: str | None) -> "Change":
        """The same change, attributed to a request or an event."""
        caused = replace(self.payment, correlation_id=correlation_id, traceparent=traceparent, actor=actor)
        return replace(self, payment=caused)
