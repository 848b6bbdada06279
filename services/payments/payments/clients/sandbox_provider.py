"""The sandbox provider: it moves no money, and keeps its own record of payments as a real provider does.

It writes its record in separate transactions, so after a crash its record can differ from that of the service, as
with a remote provider. Some tokens simulate faults.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection, Database
from payments import store
from payments.domain.payment import NO_CURRENCY
from payments.domain.payment_provider import (
    Answer,
    Approved,
    AuthorizationRequest,
    CaptureRequest,
    Card,
    Declined,
    NotDone,
    ProviderState,
    ProviderStatus,
    RefundRequest,
    Unknown,
)

DEFAULT_TOKEN = "pm_card_visa"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the sandbox treats the first authorization of a token."""

    card: Card
    decline_code: str | None = None
    loses_first_answer: bool = False
    failures: int = 0
    """How often an authorization fails before it succeeds."""


TOKENS = {
    DEFAULT_TOKEN: Behaviour(card=Card("visa", "4242")),
    "pm_card_chargeDeclined": Behaviour(card=Card("visa", "0002"), decline_code="card_declined"),
    "pm_card_chargeDeclinedInsufficientFunds": Behaviour(card=Card("visa", "9995"), decline_code="insufficient_funds"),
    "pm_sandbox_timeout": Behaviour(card=Card("sandbox", "0408"), loses_first_answer=True),
    "pm_sandbox_down": Behaviour(card=Card("sandbox", "0503"), failures=3),
}


class Sandbox:
    """A `PaymentProvider`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def describe(self, token: str) -> Card | None:
        behaviour = TOKENS.get(token)
        return None if behaviour is None else behaviour.card

    async def authorize(self, requests: Sequence[AuthorizationRequest]) -> list[Answer]:
        accepted = [(request, behaviour) for request in requests if (behaviour := TOKENS.get(request.token))]
        new = await self._database.run_statement(
            lambda connection: store.sandbox.add_payments(
                connection,
                [request for request, _ in accepted],
                [_first_status(behaviour) for _, behaviour in accepted],
                [behaviour.failures for _, behaviour in accepted],
            )
        )
        answers: dict[UUID, Answer] = {
            request.payment_id: _first_answer(behaviour)
            for request, behaviour in accepted
            if request.payment_id in new and not behaviour.failures
        }
        repeated = [request.payment_id for request, _ in accepted if request.payment_id not in answers]
        if repeated:
            answers |= await self._database.run(lambda connection: _authorize_again(connection, repeated))
        return [answers.get(request.payment_id, Declined("unknown_payment_method")) for request in requests]

    async def capture(self, requests: Sequence[CaptureRequest]) -> list[Answer]:
        payment_ids = [request.payment_id for request in requests]
        captured = await self._database.run_statement(lambda connection: store.sandbox.capture(connection, payment_ids))
        others = [payment_id for payment_id in payment_ids if payment_id not in captured]
        statuses = await self._database.read(lambda c: store.sandbox.read_statuses(c, others)) if others else {}
        return [
            Approved() if payment_id in captured else _answer_to_repeated_capture(statuses.get(payment_id))
            for payment_id in payment_ids
        ]

    async def void(self, payment_ids: Sequence[UUID]) -> list[Answer]:
        async def work(connection: Connection) -> list[Answer]:
            # A payment that is not known yet gets a tombstone, which declines a late authorization.
            await store.sandbox.add_payments(
                connection,
                [
                    AuthorizationRequest(payment_id=id_, token="", amount_minor=0, currency=NO_CURRENCY)
                    for id_ in payment_ids
                ],
                [ProviderStatus(ProviderState.VOIDED)] * len(payment_ids),
                [0] * len(payment_ids),
            )
            payments = await store.sandbox.lock_payments(connection, payment_ids)
            voidable = {ProviderState.AUTHORIZED, ProviderState.NOT_RECEIVED}
            held = [id_ for id_ in payment_ids if payments[id_]["state"] in voidable]
            await store.sandbox.set_states(connection, dict.fromkeys(held, ProviderState.VOIDED))
            return [
                Declined("captured") if payments[id_]["state"] == ProviderState.CAPTURED else Approved()
                for id_ in payment_ids
            ]

        return await self._database.run(work)

    async def refund(self, requests: Sequence[RefundRequest]) -> list[Answer]:
        async def work(connection: Connection) -> list[Answer]:
            payment_ids = [request.payment_id for request in requests]
            payments = await store.sandbox.lock_payments(connection, payment_ids)
            refunds = await store.sandbox.read_refunds(connection, payment_ids)
            answers: list[Answer] = []
            new: list[RefundRequest] = []
            for request in requests:
                payment = payments.get(request.payment_id)
                earlier = refunds.setdefault(request.payment_id, {})
                if payment is None or payment["state"] != ProviderState.CAPTURED:
                    answers.append(Declined("not_captured"))
                elif request.refund_id in earlier:
                    answers.append(Approved())
                elif sum(earlier.values()) + request.amount_minor > payment["amount_minor"]:
                    answers.append(Declined("refund_exceeds_payment"))
                else:
                    earlier[request.refund_id] = request.amount_minor
                    new.append(request)
                    answers.append(Approved())
            await store.sandbox.add_refunds(connection, new)
            return answers

        return await self._database.run(work)

    async def lookup(self, payment_ids: Sequence[UUID]) -> list[ProviderStatus | Unknown]:
        found = await self._database.read(lambda connection: store.sandbox.read_statuses(connection, payment_ids))
        return [found.get(payment_id, ProviderStatus(ProviderState.NOT_RECEIVED)) for payment_id in payment_ids]


async def _authorize_again(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Answer]:
    """The answers for payments that the sandbox knows already, or that have simulated failures left."""
    payments = await store.sandbox.lock_payments(connection, payment_ids)
    waiting = {id_: row for id_, row in payments.items() if row["state"] == ProviderState.NOT_RECEIVED}
    failing = [id_ for id_, row in waiting.items() if row["failures_left"] > 0]
    recovered = [id_ for id_, row in waiting.items() if row["failures_left"] == 0]
    await store.sandbox.count_failures(connection, failing)
    await store.sandbox.set_states(connection, dict.fromkeys(recovered, ProviderState.AUTHORIZED))
    answers: dict[UUID, Answer] = {}
    for payment_id, row in payments.items():
        if payment_id in failing:
            answers[payment_id] = NotDone()
        elif row["state"] in {ProviderState.DECLINED, ProviderState.VOIDED}:
            answers[payment_id] = Declined(row["code"] or row["state"])
        else:
            answers[payment_id] = Approved()
    return answers


def _answer_to_repeated_capture(status: ProviderStatus | None) -> Answer:
    """The answer for a payment that is not held: it was captured before, or it can never be captured."""
    match status:
        case ProviderStatus(state=ProviderState.CAPTURED):
            return Approved()
        case ProviderStatus(state=ProviderState.VOIDED):
            return Declined("voided")
        case _:
            return Declined("not_authorized")


def _first_status(behaviour: Behaviour) -> ProviderStatus:
    if behaviour.failures:
        return ProviderStatus(ProviderState.NOT_RECEIVED)
    if behaviour.decline_code is not None:
        return ProviderStatus(ProviderState.DECLINED, behaviour.decline_code)
    return ProviderStatus(ProviderState.AUTHORIZED)


def _first_answer(behaviour: Behaviour) -> Answer:
    if behaviour.loses_first_answer:
        return Unknown()
    return Approved() if behaviour.decline_code is None else Declined(behaviour.decline_code)
