"""One replica of payments without its port, at a provider behind a bad line; its loops turn when a test says so."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from payments import store
from payments.authorize_payments import AuthorizePayments
from payments.choose_payment_method import ChooseMethod
from payments.domain.payment import Payment
from payments.domain.payment_provider import Answer, Declined, GiveBack, Hold, NotDone, Standing
from payments.messages import Authorized, AuthorizeItem, VoidItem
from payments.providers.provider_client import ProviderCalls
from payments.providers.sandbox import DEFAULT_TOKEN, Sandbox
from payments.settle_payments import SettlePayments
from payments.settle_refunds import SettleRefunds
from payments.void_payments import VoidPayments
from payments.workers import consumer


class Troubled(Sandbox):
    """The sandbox behind a bad line. It does its work; what the caller hears of it is up to the test."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.is_down = False
        self.loses_answers = False
        self.has_worked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.captures = 0
        self.refuses_with = ""

    async def authorize(self, holds: Sequence[Hold]) -> list[Answer]:
        return await self._told(await super().authorize(holds)) if not self.is_down else [NotDone()] * len(holds)

    async def capture(self, holds: Sequence[Hold]) -> list[Answer]:
        self.captures += 1
        return await self._told(await super().capture(holds)) if not self.is_down else [NotDone()] * len(holds)

    async def void(self, payment_ids: Sequence[UUID]) -> list[Answer]:
        return await self._told(await super().void(payment_ids)) if not self.is_down else [NotDone()] * len(payment_ids)

    async def refund(self, refunds: Sequence[GiveBack]) -> list[Answer]:
        if self.refuses_with:
            return [Declined(self.refuses_with)] * len(refunds)
        return await self._told(await super().refund(refunds)) if not self.is_down else [NotDone()] * len(refunds)

    async def _told(self, answers: list[Answer]) -> list[Answer]:
        self.has_worked.set()
        await self.may_answer.wait()
        if self.loses_answers:
            raise ConnectionResetError("the line broke")
        return answers


class Desk:
    """The use cases of one replica, with a provider of its own; its loops turn when the test says so."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.provider = Troubled(database)
        calls = ProviderCalls(self.provider, call_s_max=2.0)
        self.refunds = SettleRefunds(database, calls, lambda: None)
        self.payments = SettlePayments(database, calls, lambda: None, lambda: None)
        self.authorization = AuthorizePayments(
            database, calls, ChooseMethod(database, calls, DEFAULT_TOKEN), lambda: None
        )
        self.voiding = VoidPayments(database, self.payments)

    async def authorized(self) -> UUID:
        """An order whose payment is authorized."""
        order_id = uuid7()
        [answer] = await self.authorization.authorize([an_item(order_id)])
        assert isinstance(answer, Authorized)
        return order_id

    async def hear(self, *events: tuple[str, UUID]) -> None:
        """Events have come and taken effect, in one batch."""
        batch = [an_event(f"order.{kind}", order_id) for kind, order_id in events]
        await self.database.run(lambda connection: consumer.handle(connection, batch))

    async def turn(self) -> None:
        """Both loops do a round."""
        await self.payments.turn()
        await self.refunds.turn()

    async def payment(self, order_id: UUID) -> Payment:
        found = await self.database.read(lambda connection: store.payments.of_orders(connection, [order_id]))
        return found[order_id]

    async def leases_run_out(self) -> None:
        async def work(connection: store.payments.Connection) -> None:
            await connection.execute("UPDATE payments SET next_attempt_at = now() WHERE wanted IS NOT NULL")
            await connection.execute("UPDATE refunds SET next_attempt_at = now() WHERE state = 'pending'")

        await self.database.run(work)

    async def events(self, order_id: UUID) -> list[str]:
        payment = await self.payment(order_id)
        rows = await self.database.read(
            lambda connection: connection.fetch(
                "SELECT type FROM journal WHERE subject = $1 ORDER BY position", str(payment.id)
            )
        )
        return [row["type"].removeprefix("payment.") for row in rows]

    async def booked(self, order_id: UUID) -> dict[str, int]:
        """What the ledger says about one order, by account."""
        payment = await self.payment(order_id)
        rows = await self.database.read(
            lambda connection: connection.fetch(
                """
                SELECT account, sum(amount_minor)::bigint AS minor
                FROM ledger_entries WHERE payment_id = $1 GROUP BY account
                """,
                payment.id,
            )
        )
        return {row["account"]: row["minor"] for row in rows}

    async def at_provider(self, order_id: UUID) -> tuple[str, int]:
        [standing] = await self.provider.lookup([(await self.payment(order_id)).id])
        assert isinstance(standing, Standing)
        return standing.state, standing.refunded_minor


def an_item(order_id: UUID, method: str | None = None) -> AuthorizeItem:
    return msgspec.convert(
        {
            "order_id": str(order_id),
            "user_id": str(uuid7()),
            "amount": {"amount": "49.99", "currency": "USD"},
            "payment_method": method,
            "correlation_id": f"buying-{order_id}",
            "traceparent": None,
        },
        AuthorizeItem,
    )


def a_void(order_id: UUID) -> VoidItem:
    return VoidItem(order_id=order_id, correlation_id=f"undoing-{order_id}", traceparent=None)


def an_event(kind: str, order_id: UUID) -> Envelope:
    return Envelope(
        id=uuid7(),
        source="/orders",
        type=kind,
        subject=str(order_id),
        time=datetime.now(UTC),
        sequence="1",
        correlationid=f"{kind}-{order_id}",
        data=msgspec.Raw(msgspec.json.encode({"order_id": str(order_id), "more": "than we read"})),
    )
