"""The statement of a mail about the money of a cancelled order."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from chassis.values.money import Money
from notifications.domain.notification import Amounts


@dataclass(frozen=True, slots=True)
class CapturedAmounts:
    """The captured amount of a payment, and the parts of it that are refunded or will be."""

    charged: Money
    refunded: Money
    refund_pending: Money


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """The payment of an order. `taken` is None unless the state is `captured`."""

    order_id: UUID
    state: Literal["intended", "authorized", "declined", "voided", "captured"]
    taken: CapturedAmounts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The final amounts of a cancelled order's payment. An amount is None when it is zero."""

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


def settlement_of(payment: PaymentStatus | None) -> Settlement | None:
    """None while the final amounts are not known.

    They are not known until payments has handled the cancellation, which leaves a tombstone at least; while the
    provider has yet to void or to capture; and while a part of the captured amount is neither
    refunded nor being refunded.
    """
    if payment is None or payment.state in {"intended", "authorized"}:
        return None
    if payment.taken is None:
        return Settlement()
    taken = payment.taken
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
