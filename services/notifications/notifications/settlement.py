"""What a mail about a cancelled order may say about its money. Pure."""

import msgspec

from chassis.values.money import Money
from notifications.messages import PaymentFound, TakenAmounts
from notifications.notification import Amounts


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a cancelled order's payment. Each amount is None when there is nothing of it."""

    charged: Money | None = None
    refunded: Money | None = None
    refund_pending: Money | None = None

    def amounts(self) -> Amounts:
        return Amounts(
            currency=None if self.charged is None else self.charged.currency,
            charged=_minor(self.charged),
            refunded=_minor(self.refunded),
            refund_pending=_minor(self.refund_pending),
        )


def settlement_of(payment: PaymentFound | None) -> Settlement | None:
    """None while the end is open.

    It is open until payments has heard of the cancellation, which leaves at least a tombstone; while the provider has
    yet to void or to capture; and while a part of what was taken is not on its way back.
    """
    if payment is None or payment.state in {"intended", "authorized"}:
        return None
    if payment.taken is None:
        return Settlement()
    return _settlement_of_taken(payment.taken)


def _settlement_of_taken(taken: TakenAmounts) -> Settlement | None:
    if taken.refunded.minor() + taken.refund_pending.minor() != taken.charged.minor():
        return None
    return Settlement(
        charged=_unless_zero(taken.charged),
        refunded=_unless_zero(taken.refunded),
        refund_pending=_unless_zero(taken.refund_pending),
    )


def _unless_zero(amount: Money) -> Money | None:
    return amount if amount.minor() else None


def _minor(amount: Money | None) -> int:
    return 0 if amount is None else amount.minor()
