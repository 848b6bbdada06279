"""One replica of payments without its HTTP port, with a faulty provider. A test runs its settlers by hand."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection, Database
from payments import store
from payments.authorize_payments import authorize_payments
from payments.clients.provider_client import ProviderClient
from payments.clients.sandbox_provider import DEFAULT_TOKEN, Sandbox
from payments.domain.order_requests import (
    AuthorizationOutcome,
    AuthorizationResult,
    PaymentRequest,
    VoidOutcome,
    VoidRequest,
)
from payments.domain.payment import Payment
from payments.domain.payment_provider import (
    Answer,
    AuthorizationRequest,
    CaptureRequest,
    Declined,
    NotDone,
    ProviderStatus,
    RefundRequest,
)
from payments.void_payments import void_payments
from payments.workers import consumer
from payments.workers.payment_settler import PaymentSettler
from payments.workers.refund_settler import RefundSettler


class FaultyProvider(Sandbox):
    """The sandbox behind a faulty network. It performs its operations; a test decides which answers arrive."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.is_down = False
        self.loses_answers = False
        self.has_worked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.captures = 0
        self.refuses_with = ""

    async def authorize(self, requests: Sequence[AuthorizationRequest]) -> list[Answer]:
        return [NotDone()] * len(requests) if self.is_down else await self._deliver(await super().authorize(requests))

    async def capture(self, requests: Sequence[CaptureRequest]) -> list[Answer]:
        self.captures += 1
        return [NotDone()] * len(requests) if self.is_down else await self._deliver(await super().capture(requests))

    async def void(self, payment_ids: Sequence[UUID]) -> list[Answer]:
        return [NotDone()] * len(payment_ids) if self.is_down else await self._deliver(await super().void(payment_ids))

    async def refund(self, requests: Sequence[RefundRequest]) -> list[Answer]:
        if self.refuses_with:
            return [Declined(self.refuses_with)] * len(requests)
        return [NotDone()] * len(requests) if self.is_down else await self._deliver(await super().refund(requests))

    async def _deliver(self, answers: list[Answer]) -> list[Answer]:
        self.has_worked.set()
        await self.may_answer.wait()
        if self.loses_answers:
            raise ConnectionResetError("the connection was lost")
        return answers


class Replica:
    """The use cases and workers of one replica, with a provider of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.provider = FaultyProvider(database)
        self.client = ProviderClient(self.provider, call_max_s=2.0)
        self.refund_settler = RefundSettler(database, self.client)
        self.payment_settler = PaymentSettler(database, self.client)

    async def authorize(self, request: PaymentRequest) -> AuthorizationResult:
        [result] = await authorize_payments(self.database, self.client, [request], default_token=DEFAULT_TOKEN)
        return result

    async def void(self, order_id: UUID) -> VoidOutcome:
        request = VoidRequest(order_id=order_id, correlation_id=f"voiding-{order_id}", traceparent=None)
        [outcome] = await void_payments(self.database, self.client, [request])
        return outcome

    async def authorized_order(self) -> UUID:
        """An order whose payment is authorized."""
        order_id = uuid7()
        result = await self.authorize(a_payment_request(order_id))
        assert result.outcome is AuthorizationOutcome.AUTHORIZED
        return order_id

    async def consume(self, *events: tuple[str, UUID]) -> None:
        """Handle a batch of events of orders."""
        batch = [an_event(f"order.{kind}", order_id) for kind, order_id in events]
        await self.database.run(lambda connection: consumer.handle(connection, batch))

    async def settle(self) -> None:
        """Run both settlers once."""
        await self.payment_settler.run_once()
        await self.refund_settler.run_once()

    async def payment(self, order_id: UUID) -> Payment:
        found = await self.database.read(lambda connection: store.payments.find_by_orders(connection, [order_id]))
        return found[order_id]

    async def expire_leases(self) -> None:
        async def work(connection: Connection) -> None:
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

    async def balances(self, order_id: UUID) -> dict[str, int]:
        """The sum of the ledger entries of one order, by account."""
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

    async def provider_status(self, order_id: UUID) -> tuple[str, int]:
        """The state of the payment and the refunded amount, as the provider has them."""
        [status] = await self.provider.lookup([(await self.payment(order_id)).id])
        assert isinstance(status, ProviderStatus)
        return status.state, status.refunded_minor


def a_payment_request(order_id: UUID, method: str | None = None, *, user_id: UUID | None = None) -> PaymentRequest:
    return PaymentRequest(
        order_id=order_id,
        user_id=user_id or uuid7(),
        amount_minor=4_999,
        currency="USD",
        payment_method=method,
        correlation_id=f"buying-{order_id}",
        traceparent=None,
    )


def an_event(kind: str, order_id: UUID) -> Envelope:
    return Envelope(
        id=uuid7(),
        source="/orders",
        type=kind,
        subject=str(order_id),
        time=datetime.now(UTC),
        sequence="1",
        correlationid=f"{kind}-{order_id}",
        data=msgspec.Raw(msgspec.json.encode({"order_id": str(order_id), "unknown_member": 1})),
    )
