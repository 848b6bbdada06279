"""What a mail says about the money of a cancelled order is true, in every order of what can happen to its payment.

Payments' transitions and its answer, and notifications' reading of it and its template, are run together, over all that
customers, administrators and the provider can do in any order. The world keeps books of its own to compare with.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from chassis.values.money import money
from notifications.consumed_events import OrderCancelled, Reason
from notifications.domain.notification import Kind
from notifications.domain.settlement import PaymentStatus, settlement_of
from notifications.templates import Templates
from payments.domain.payment import NO_CURRENCY, Change, Payment, PaymentState, PendingAction
from payments.http.internal import payment_now

ORDER = UUID("0198c2a7-5d10-7e21-b2c3-4d5e6f708191")
PRICE, PART = 5_000, 2_000
TEMPLATES = Templates()


@dataclass(frozen=True)
class World:
    """`held` and `charged` are the provider's truth; `payment` is what payments knows, None before it has heard."""

    payment: Payment | None = None
    capture_asked: bool = False
    held: bool = False
    charged: int = 0
    refunded_amount: int = 0
    refunds: tuple[int, ...] = ()
    """Pending ones."""
    cancelled: bool = False
    """The order is, of which notifications has heard."""
    payments_heard: bool = False
    mail: str | None = None
    steps: tuple[str, ...] = ()

    def changed(self, change: Change, **more: Any) -> "World":
        refunds = (*self.refunds, change.refund_minor) if change.refund_minor else self.refunds
        return replace(self, payment=change.payment, refunds=refunds, **more)


def intent(state: PaymentState = PaymentState.INTENDED) -> Payment:
    return Payment(
        id=ORDER, order_id=ORDER, user_id=ORDER, amount_minor=PRICE, currency="USD", method_token="pm_card_visa",
        state=state, correlation_id="c",
    )  # fmt: skip


def authorize(world: World) -> World | None:
    if world.payment is not None:
        return None
    return world.changed(intent().authorize(), held=True)


def authorize_and_lose_the_answer(world: World) -> World | None:
    return None if world.payment is not None else replace(world, payment=intent(), held=True)


def decline(world: World) -> World | None:
    return None if world.payment is not None else world.changed(intent().decline("card_declined"))


def confirm(world: World) -> World | None:
    if world.payment is None or world.payment.state is not PaymentState.AUTHORIZED or world.capture_asked:
        return None
    return world.changed(world.payment.request_capture(), capture_asked=world.payment.pending_action is None)


def take(world: World) -> World | None:
    """The provider captures; its answer is on its way."""
    return replace(world, held=False, charged=PRICE) if world.capture_asked and world.held else None


def hear_of_capture(world: World) -> World | None:
    if world.payment is None or world.payment.state is not PaymentState.AUTHORIZED or not world.charged:
        return None
    return world.changed(world.payment.capture())


def cancel(world: World) -> World | None:
    return None if world.cancelled else replace(world, cancelled=True)


def hear_of_cancellation(world: World) -> World | None:
    if not world.cancelled or world.payments_heard:
        return None
    if world.payment is None:
        voided = intent(PaymentState.VOIDED)
        tombstone = replace(voided, user_id=None, amount_minor=0, currency=NO_CURRENCY, method_token="")
        return replace(world, payment=tombstone, payments_heard=True)
    return world.changed(world.payment.cancel(), payments_heard=True)


def void(world: World) -> World | None:
    if world.payment is None or world.payment.pending_action is not PendingAction.VOID or world.charged:
        return None
    return world.changed(world.payment.void(), held=False)


def refund_part(world: World) -> World | None:
    if world.payment is None or world.payment.refundable_minor < PART:
        return None
    return world.changed(world.payment.request_refund(PART))


def refund_rest(world: World) -> World | None:
    if world.payment is None or not world.payment.refundable_minor:
        return None
    return world.changed(world.payment.request_refund(world.payment.refundable_minor))


def complete_refund(world: World) -> World | None:
    if world.payment is None or not world.refunds:
        return None
    amount, *others = world.refunds
    given = world.payment.complete_refund(amount).payment
    return replace(world, payment=given, refunds=tuple(others), refunded_amount=world.refunded_amount + amount)


def refuse_refund(world: World) -> World | None:
    if world.payment is None or not world.refunds:
        return None
    amount, *others = world.refunds
    return replace(world, payment=world.payment.fail_refund(amount).payment, refunds=tuple(others))


def send_mail(world: World) -> World | None:
    text = mail_of(world) if world.cancelled and world.mail is None else None
    return None if text is None else replace(world, mail=text)


def mail_of(world: World) -> str | None:
    """Over the wire, as it is in the system. None while the mail has to wait."""
    found = None
    if world.payment is not None:
        found = msgspec.json.decode(msgspec.json.encode(payment_now(world.payment)), type=PaymentStatus)
    settlement = settlement_of(found)
    if settlement is None:
        return None
    order = OrderCancelled(ORDER, ORDER, "Ada", True, False, Reason("cancelled_by_customer", "Cancelled."), None)
    return TEMPLATES.render(Kind.ORDER_CANCELLED, order, settlement=settlement)[1]


STEPS: Mapping[str, Callable[[World], World | None]] = {
    step.__name__: step
    for step in (
        authorize, authorize_and_lose_the_answer, decline, confirm, take, hear_of_capture, cancel, hear_of_cancellation,
        void, refund_part, refund_rest, complete_refund, refuse_refund, send_mail,
    )
}  # fmt: skip


def next_worlds(world: World) -> Iterator[World]:
    for name, step in STEPS.items():
        if (after := step(world)) is not None:
            yield replace(after, steps=(*world.steps, name))


def every_world() -> Iterator[tuple[World, bool]]:
    """All that can be reached, each once, and whether nothing more can happen there."""
    waiting, seen = [World()], set()
    while waiting:
        world = waiting.pop()
        known_by = replace(world, steps=())
        if known_by in seen:
            continue
        seen.add(known_by)
        following = list(next_worlds(world))
        waiting += following
        yield world, not following


def says(text: str, minor: int, what: str) -> bool:
    return f"{money(minor, 'USD').amount} USD {what}" in text


def test_a_mail_about_a_cancelled_order_is_true_whatever_happens_before_and_after() -> None:
    mails, ends = set(), 0
    for world, is_end in every_world():
        if (mail := world.mail) is not None:
            mails.add(mail)
            # Whatever happened since the mail was sent: what was charged is what it says.
            assert ("You have not been charged." in mail) is (world.charged == 0), world.steps
            assert (f"You were charged {money(PRICE, 'USD').amount} USD." in mail) is (world.charged == PRICE)
        if world.steps and world.steps[-1] == "send_mail":
            assert mail is not None
            pending = sum(world.refunds)
            assert says(mail, world.refunded_amount, "of it has been refunded.") is (world.refunded_amount > 0), (
                world.steps
            )
            assert says(mail, pending, "of it is being refunded.") is (pending > 0), world.steps
            assert world.refunded_amount + pending == world.charged, world.steps
        if is_end and world.cancelled:
            ends += 1
            assert world.mail is not None, f"never told: {world.steps}"
            assert world.refunded_amount == world.charged, world.steps
    assert len(mails) == 7
    assert ends > 5, ends
