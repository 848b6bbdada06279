"""Authorizes the payments of a batch of orders, each at most once however often it is asked.

    1  the intents are written          one commit
    2  the provider is asked            outside any transaction
    3  the outcomes are written         one commit

A crash after any step leaves an intent whose outcome is not known. The next time that order is asked about, the
provider's record is looked at first. An answer that did not come is `unknown`, never a no.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.problems import Invalid, Unavailable
from payments import messages, store
from payments.apply_changes import count, record_changes, record_if_same
from payments.choose_payment_method import ChooseMethod, Chosen
from payments.domain.payment import Change, Payment, State, Wanted, authorized, declined
from payments.domain.payment_provider import Answer, Approved, Card, Declined, NotDone, Standing, Unknown
from payments.messages import Authorization, AuthorizeItem
from payments.providers.provider_client import ProviderCalls

VOIDED = "voided"
_DETAILS = {
    "card_declined": "The card was declined.",
    "insufficient_funds": "The card has insufficient funds.",
    "unknown_payment_method": "There is no such payment method.",
    "invalid_amount": "The amount cannot be charged.",
    "another_amount": "This order has a payment of another amount.",
    VOIDED: "The payment was voided before.",
}
_log = structlog.get_logger()


class AuthorizePayments:
    """`wake_relay` is called when events were written."""

    def __init__(
        self, database: Database, provider: ProviderCalls, choose: ChooseMethod, wake_relay: Callable[[], None]
    ) -> None:
        self._database = database
        self._provider = provider
        self._choose = choose
        self._wake_relay = wake_relay

    async def authorize(self, items: Sequence[AuthorizeItem]) -> list[Authorization]:
        """One answer for each item, in order. Raises `Unavailable` only while nothing was asked of the provider."""
        chosen = await self._choose.for_orders(items)
        intents = _intents(items, chosen)
        payments, known = await self._write_intents(items, intents)
        answers = await self._ask_provider(list(payments.values()), known)
        payments |= await self._write_outcomes(payments.values(), answers)
        outcomes = [_outcome(item, payments.get(item.order_id), chosen[item]) for item in items]
        for item, outcome in zip(items, outcomes, strict=True):
            with context.working_on(item.correlation_id, item.traceparent):
                _log.info("payment asked for", order_id=str(item.order_id), outcome=type(outcome).__name__)
        return outcomes

    async def _write_intents(
        self, items: Sequence[AuthorizeItem], intents: Mapping[UUID, tuple[Payment, Card]]
    ) -> tuple[dict[UUID, Payment], set[UUID]]:
        """The payments by order, and which of them the provider may have heard of."""

        added = await self._database.run_statement(lambda c: store.payments.add_intents(c, list(intents.values())))
        payments = {order_id: intents[order_id][0] for order_id in added}
        others = [item.order_id for item in items if item.order_id not in added]
        if not others:
            return payments, set()
        before = await self._database.read(lambda connection: store.payments.of_orders(connection, others))
        # One that a repetition of this statement finds was written by itself.
        new = {payment.id for payment, _ in intents.values()}
        return payments | before, {payment.id for payment in before.values() if payment.id not in new}

    async def _ask_provider(self, payments: Sequence[Payment], known: set[UUID]) -> dict[UUID, Answer]:
        open_ = [payment for payment in payments if _is_open(payment)]
        asked_before = [payment.id for payment in open_ if payment.id in known]
        standings = dict(zip(asked_before, await self._provider.lookup(asked_before), strict=True))
        answers = {
            payment_id: answer
            for payment_id, standing in standings.items()
            if not isinstance(answer := _answer_of(standing), NotDone)
        }
        # The token of a deleted account is gone. Its order is cancelled; the void holds against a call that was lost.
        to_ask = [payment for payment in open_ if payment.id not in answers and payment.method_token]
        new_answers = await self._provider.authorize(to_ask)
        return answers | {payment.id: answer for payment, answer in zip(to_ask, new_answers, strict=True)}

    async def _write_outcomes(self, payments: Iterable[Payment], answers: Mapping[UUID, Answer]) -> dict[UUID, Payment]:
        """What the payments are now, by order; nothing when that could not be written, which makes them unknown."""
        definite = {id_: answer for id_, answer in answers.items() if isinstance(answer, Approved | Declined)}
        if not definite:
            return {}
        expected = [(payment, _change(payment, definite[payment.id])) for payment in payments if payment.id in definite]

        async def decide_again(connection: Connection) -> list[Change]:
            now = await store.payments.lock(connection, overtaken)
            changes = [_change(payment, definite[id_]) for id_, payment in now.items()]
            await record_changes(connection, [change for change in changes if change.facts])
            return changes

        try:
            written = await self._database.run_statement(lambda connection: record_if_same(connection, expected))
            changes = [change for payment, change in expected if payment.id in written]
            overtaken = [payment.id for payment, _ in expected if payment.id not in written]
            if overtaken:
                changes += await self._database.run(decide_again)
        except Unavailable as refusal:
            _log.warning("the provider's answers could not be written", count=len(definite), reason=str(refusal))
            return {}
        self._wake_relay()
        count(changes)
        return {change.payment.order_id: change.payment for change in changes}


def _intents(
    items: Sequence[AuthorizeItem], chosen: Mapping[AuthorizeItem, Chosen | None]
) -> dict[UUID, tuple[Payment, Card]]:
    intents: dict[UUID, tuple[Payment, Card]] = {}
    for item in items:
        method, amount_minor = chosen[item], _amount_of(item)
        if method is None or amount_minor is None:
            continue
        payment = Payment(
            id=uuid7(),
            order_id=item.order_id,
            user_id=item.user_id,
            amount_minor=amount_minor,
            currency=item.amount.currency,
            method_token=method.token,
            correlation_id=context.acceptable_id(item.correlation_id),
            traceparent=item.traceparent,
            actor=context.actor(),
        )
        intents.setdefault(item.order_id, (payment, method.card))
    return intents


def _amount_of(item: AuthorizeItem) -> int | None:
    try:
        amount_minor = item.amount.minor()
    except Invalid:
        return None
    return amount_minor if amount_minor >= 0 else None


def _is_open(payment: Payment) -> bool:
    return payment.state is State.INTENDED and payment.wanted is not Wanted.GIVE_BACK


def _answer_of(standing: Standing | Unknown) -> Answer:
    if isinstance(standing, Unknown):
        return standing
    match standing.state:
        case "unheard":
            return NotDone()
        case "authorized" | "captured":
            return Approved()
        case "declined" | "voided":
            return Declined(standing.code or standing.state)


def _change(payment: Payment, answer: Answer) -> Change:
    return declined(payment, answer.code) if isinstance(answer, Declined) else authorized(payment)


def _outcome(item: AuthorizeItem, payment: Payment | None, chosen: Chosen | None) -> Authorization:
    if payment is None:
        code = "unknown_payment_method" if chosen is None else "invalid_amount"
        return _refused(item, None, code)
    if payment.state is State.VOIDED or payment.wanted is Wanted.GIVE_BACK:
        return _refused(item, payment.id, VOIDED)
    if (payment.amount_minor, payment.currency) != (_amount_of(item), item.amount.currency):
        return _refused(item, payment.id, "another_amount")
    match payment.state:
        case State.INTENDED:
            return messages.NotKnownYet(order_id=item.order_id)
        case State.DECLINED:
            code = payment.code or "declined"
            detail = _DETAILS.get(code, "The payment was declined.")
            return messages.Declined(order_id=item.order_id, payment_id=payment.id, code=code, detail=detail)
        case State.AUTHORIZED | State.CAPTURED:
            return messages.Authorized(order_id=item.order_id, payment_id=payment.id)


def _refused(item: AuthorizeItem, payment_id: UUID | None, code: str) -> messages.Refused:
    return messages.Refused(order_id=item.order_id, payment_id=payment_id, code=code, detail=_DETAILS[code])
