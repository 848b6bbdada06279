"""Authorizes the payments of a batch of orders, each at most once however often a request is repeated.

    1  write the intents      one commit
    2  call the provider      outside any transaction
    3  write the outcomes     one commit

A crash after any step leaves an intent whose outcome is not known. A repeated request then looks the payment up at the
provider first. A missing answer is `unknown`, and never a decline.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.problems import Unavailable
from payments import store
from payments.apply_changes import apply_changes, apply_if_unchanged, count_changes
from payments.choose_payment_methods import PaymentMethod, choose_payment_methods
from payments.clients.provider_client import ProviderClient
from payments.domain.order_requests import INVALID_AMOUNT, UNKNOWN_PAYMENT_METHOD, AuthorizationResult, PaymentRequest
from payments.domain.payment import Change, Payment
from payments.domain.payment_provider import (
    Answer,
    Approved,
    Card,
    Declined,
    NotDone,
    ProviderState,
    ProviderStatus,
    Unknown,
)

_log = structlog.get_logger()


async def authorize_payments(
    database: Database,
    provider: ProviderClient,
    requests: Sequence[PaymentRequest],
    *,
    default_token: str,
) -> list[AuthorizationResult]:
    """One result for each request, in order. Raises `Unavailable` only before the provider gets a request."""
    methods = await choose_payment_methods(database, provider, requests, default_token=default_token)
    intents = _intents(requests, methods)
    payments, sent_before = await _write_intents(database, requests, intents)
    answers = await _call_provider(provider, list(payments.values()), sent_before)
    payments |= await _write_outcomes(database, payments.values(), answers)
    results = [
        _result(request, payments.get(request.order_id), method)
        for request, method in zip(requests, methods, strict=True)
    ]
    for request, result in zip(requests, results, strict=True):
        with context.working_on(request.correlation_id, request.traceparent):
            _log.info("payment requested", order_id=str(request.order_id), outcome=result.outcome.value)
    return results


async def _write_intents(
    database: Database, requests: Sequence[PaymentRequest], intents: Mapping[UUID, tuple[Payment, Card]]
) -> tuple[dict[UUID, Payment], set[UUID]]:
    """The payments by order, and the ids of those that an earlier request may have sent to the provider."""
    added = await database.run_statement(
        lambda connection: store.payments.add_intents(connection, list(intents.values()))
    )
    payments = {order_id: intents[order_id][0] for order_id in added}
    others = [request.order_id for request in requests if request.order_id not in added]
    if not others:
        return payments, set()
    existing = await database.read(lambda connection: store.payments.find_by_orders(connection, others))
    # When the statement ran twice, after a lost connection, the second run finds the rows of the first.
    new_ids = {payment.id for payment, _ in intents.values()}
    return payments | existing, {payment.id for payment in existing.values() if payment.id not in new_ids}


async def _call_provider(
    provider: ProviderClient, payments: Sequence[Payment], sent_before: set[UUID]
) -> dict[UUID, Answer]:
    open_payments = [payment for payment in payments if payment.is_outcome_open]
    to_look_up = [payment.id for payment in open_payments if payment.id in sent_before]
    statuses = dict(zip(to_look_up, await provider.lookup(to_look_up), strict=True))
    answers = {
        payment_id: answer
        for payment_id, status in statuses.items()
        if not isinstance(answer := _answer_of_status(status), NotDone)
    }
    # The token of a deleted account is erased. Its order gets cancelled, and the void covers a call that was lost.
    to_authorize = [payment for payment in open_payments if payment.id not in answers and payment.method_token]
    new_answers = await provider.authorize(to_authorize)
    return answers | {payment.id: answer for payment, answer in zip(to_authorize, new_answers, strict=True)}


async def _write_outcomes(
    database: Database, payments: Iterable[Payment], answers: Mapping[UUID, Answer]
) -> dict[UUID, Payment]:
    """The changed payments by order; none when the write failed, so that their outcome is unknown to the caller."""
    definite = {id_: answer for id_, answer in answers.items() if isinstance(answer, Approved | Declined)}
    if not definite:
        return {}
    expected = [_change(payment, definite[payment.id]) for payment in payments if payment.id in definite]

    async def decide_again(connection: Connection) -> list[Change]:
        locked = await store.payments.lock_by_ids(connection, overtaken)
        changes = [_change(payment, definite[id_]) for id_, payment in locked.items()]
        await apply_changes(connection, [change for change in changes if change.events])
        return changes

    try:
        written = await database.run_statement(lambda connection: apply_if_unchanged(connection, expected))
        changes = [change for change in expected if change.payment.id in written]
        overtaken = [change.payment.id for change in expected if change.payment.id not in written]
        if overtaken:
            changes += await database.run(decide_again)
    except Unavailable as refusal:
        _log.warning("the provider's answers could not be written", count=len(definite), reason=str(refusal))
        return {}
    count_changes(changes)
    return {change.payment.order_id: change.payment for change in changes}


def _intents(
    requests: Sequence[PaymentRequest], methods: Sequence[PaymentMethod | None]
) -> dict[UUID, tuple[Payment, Card]]:
    intents: dict[UUID, tuple[Payment, Card]] = {}
    for request, method in zip(requests, methods, strict=True):
        if method is None or request.amount_minor is None:
            continue
        payment = Payment(
            id=uuid7(),
            order_id=request.order_id,
            user_id=request.user_id,
            amount_minor=request.amount_minor,
            currency=request.currency,
            method_token=method.token,
            correlation_id=context.acceptable_id(request.correlation_id),
            traceparent=request.traceparent,
            actor=context.actor(),
        )
        intents.setdefault(request.order_id, (payment, method.card))
    return intents


def _answer_of_status(status: ProviderStatus | Unknown) -> Answer:
    if isinstance(status, Unknown):
        return status
    match status.state:
        case ProviderState.NOT_RECEIVED:
            return NotDone()
        case ProviderState.AUTHORIZED | ProviderState.CAPTURED:
            return Approved()
        case ProviderState.DECLINED | ProviderState.VOIDED:
            return Declined(status.code or status.state.value)


def _change(payment: Payment, answer: Answer) -> Change:
    return payment.decline(answer.code) if isinstance(answer, Declined) else payment.authorize()


def _result(request: PaymentRequest, payment: Payment | None, method: PaymentMethod | None) -> AuthorizationResult:
    if payment is not None:
        return AuthorizationResult.of(request, payment)
    return AuthorizationResult.refused(request, UNKNOWN_PAYMENT_METHOD if method is None else INVALID_AMOUNT)
