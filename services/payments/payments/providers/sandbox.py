"""The sandbox provider: moves no money, and keeps a record of its own as a real provider does.

Its record is written in transactions of its own, apart from those of the service, so that the two can disagree after a
crash exactly as they could with a provider on the other side of the world. Some tokens misbehave on purpose.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.persistence.database import Connection, Database
from payments import store
from payments.domain.payment import NO_CURRENCY
from payments.domain.payment_provider import (
    Answer,
    Approved,
    Card,
    Declined,
    GiveBack,
    Hold,
    NotDone,
    Standing,
    Unknown,
)

DEFAULT_TOKEN = "pm_card_visa"  # noqa: S105


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """How the sandbox treats a token's first authorization."""

    card: Card
    decline_code: str | None = None
    loses_first_answer: bool = False
    failures: int = 0
    """How often it fails before it works."""


TOKENS = {
    DEFAULT_TOKEN: Behaviour(card=Card("visa", "4242")),
    "pm_card_chargeDeclined": Behaviour(card=Card("visa", "0002"), decline_code="card_declined"),
    "pm_card_chargeDeclinedInsufficientFunds": Behaviour(card=Card("visa", "9995"), decline_code="insufficient_funds"),
    "pm_sandbox_timeout": Behaviour(card=Card("sandbox", "0408"), loses_first_answer=True),
    "pm_sandbox_down": Behaviour(card=Card("sandbox", "0503"), failures=3),
}


class Sandbox:
    """A `Provider`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def describe(self, token: str) -> Card | None:
        behaviour = TOKENS.get(token)
        return None if behaviour is None else behaviour.card

    async def authorize(self, holds: Sequence[Hold]) -> list[Answer]:
        heard = [(hold, behaviour) for hold in holds if (behaviour := TOKENS.get(hold.token)) is not None]
        new = await self._database.run_statement(
            lambda connection: store.sandbox.add(
                connection,
                [hold for hold, _ in heard],
                [_first_standing(behaviour) for _, behaviour in heard],
                [behaviour.failures for _, behaviour in heard],
            )
        )
        answers: dict[UUID, Answer] = {
            hold.payment_id: _first_answer(behaviour)
            for hold, behaviour in heard
            if hold.payment_id in new and not behaviour.failures
        }
        again = [hold.payment_id for hold, _ in heard if hold.payment_id not in answers]
        if again:
            answers |= await self._database.run(lambda connection: _authorize_again(connection, again))
        return [answers.get(hold.payment_id, Declined("unknown_payment_method")) for hold in holds]

    async def capture(self, holds: Sequence[Hold]) -> list[Answer]:
        payment_ids = [hold.payment_id for hold in holds]
        taken = await self._database.run_statement(lambda connection: store.sandbox.take(connection, payment_ids))
        others = [payment_id for payment_id in payment_ids if payment_id not in taken]
        record = await self._database.read(lambda c: store.sandbox.read_standings(c, others)) if others else {}
        return [
            Approved() if payment_id in taken else _answer_to_capture(record.get(payment_id))
            for payment_id in payment_ids
        ]

    async def void(self, payment_ids: Sequence[UUID]) -> list[Answer]:
        async def work(connection: Connection) -> list[Answer]:
            # A payment that was never heard of gets a tombstone, which a late authorization will meet.
            unheard = [Hold(payment_id=id_, token="", amount_minor=0, currency=NO_CURRENCY) for id_ in payment_ids]
            await store.sandbox.add(connection, unheard, [Standing("voided")] * len(unheard), [0] * len(unheard))
            record = await store.sandbox.lock(connection, payment_ids)
            held = [id_ for id_ in payment_ids if record[id_]["state"] in {"authorized", "unheard"}]
            await store.sandbox.set_states(connection, dict.fromkeys(held, "voided"))
            return [Declined("captured") if record[id_]["state"] == "captured" else Approved() for id_ in payment_ids]

        return await self._database.run(work)

    async def refund(self, refunds: Sequence[GiveBack]) -> list[Answer]:
        async def work(connection: Connection) -> list[Answer]:
            payment_ids = [refund.payment_id for refund in refunds]
            record = await store.sandbox.lock(connection, payment_ids)
            given = await store.sandbox.read_refunds(connection, payment_ids)
            answers: list[Answer] = []
            new: list[GiveBack] = []
            for refund in refunds:
                payment = record.get(refund.payment_id)
                before = given.setdefault(refund.payment_id, {})
                if payment is None or payment["state"] != "captured":
                    answers.append(Declined("not_captured"))
                elif refund.refund_id in before:
                    answers.append(Approved())
                elif sum(before.values()) + refund.amount_minor > payment["amount_minor"]:
                    answers.append(Declined("refund_exceeds_payment"))
                else:
                    before[refund.refund_id] = refund.amount_minor
                    new.append(refund)
                    answers.append(Approved())
            await store.sandbox.add_refunds(connection, new)
            return answers

        return await self._database.run(work)

    async def lookup(self, payment_ids: Sequence[UUID]) -> list[Standing | Unknown]:
        found = await self._database.read(lambda connection: store.sandbox.read_standings(connection, payment_ids))
        return [found.get(payment_id, Standing("unheard")) for payment_id in payment_ids]


async def _authorize_again(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Answer]:
    """The answers for payments that the record knows, or that have failures still to come."""
    record = await store.sandbox.lock(connection, payment_ids)
    failing = [id_ for id_, row in record.items() if row["state"] == "unheard" and row["failures_left"] > 0]
    mended = [id_ for id_, row in record.items() if row["state"] == "unheard" and row["failures_left"] == 0]
    await store.sandbox.count_failures(connection, failing)
    await store.sandbox.set_states(connection, dict.fromkeys(mended, "authorized"))
    answers: dict[UUID, Answer] = {}
    for payment_id, row in record.items():
        if payment_id in failing:
            answers[payment_id] = NotDone()
        elif row["state"] in {"declined", "voided"}:
            answers[payment_id] = Declined(row["code"] or row["state"])
        else:
            answers[payment_id] = Approved()
    return answers


def _answer_to_capture(standing: Standing | None) -> Answer:
    """Of what is not held: taken before, or never to be taken."""
    match standing:
        case Standing(state="captured"):
            return Approved()
        case Standing(state="voided"):
            return Declined("voided")
        case _:
            return Declined("not_authorized")


def _first_standing(behaviour: Behaviour) -> Standing:
    if behaviour.failures:
        return Standing("unheard")
    return Standing("authorized" if behaviour.decline_code is None else "declined", behaviour.decline_code)


def _first_answer(behaviour: Behaviour) -> Answer:
    if behaviour.loses_first_answer:
        return Unknown()
    return Approved() if behaviour.decline_code is None else Declined(behaviour.decline_code)
