"""Payments and refunds: buyers read their own; administrators read, capture, void and refund them."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from chassis.actor import without_operator_id
from chassis.persistence.database import Database, Row
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.values import visible_text
from chassis.values.money import money
from chassis.web import idempotency
from chassis.web.idempotency import RequiredIdempotencyKey, required_key
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest, user_id_of
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.domain.refund import RefundKey
from payments.errors import PaymentNotFound
from payments.http.schemas import TEXT_CHARACTERS_MAX, Card, NewRefund, PaymentRead, RefundRead
from payments.manual_settlement import capture_manually, void_manually
from payments.request_refund import RefundToCreate, request_refund

OrderId = Annotated[UUID | None, QueryParameter(name="order_id", description="Only the payment of this order.")]


def routes(database: Database, provider: ProviderClient) -> list[HTTPRouteHandler]:
    async def find(payment_id: UUID, caller: Caller) -> PaymentRead:
        # The payment of another user gets the same answer as one that does not exist.
        user_id = None if caller.is_administrator else caller.user_id
        row = await database.read(lambda connection: store.payment_reads.read_payment(connection, payment_id, user_id))
        if row is None:
            raise PaymentNotFound
        return _payment(row)

    @get("/payments", guards=[access.signed_in], tags=["payments"], summary="My payments; an administrator's: all")
    async def list_payments(
        request: CallerRequest, order_id: OrderId = None, limit: Limit = 20, cursor: Cursor = None
    ) -> Page[PaymentRead]:
        before = key_of(cursor, UUID)
        user_id = None if request.user.is_administrator else request.user.user_id
        rows = await database.read(
            lambda connection: store.payment_reads.read_payments(
                connection, user_id=user_id, order_id=order_id, before=before, limit=limit + 1
            )
        )
        return page_of(rows, limit, lambda row: row["id"]).map(_payment)

    @get("/payments/{payment_id:uuid}", guards=[access.signed_in], tags=["payments"], summary="One payment")
    async def read_payment(request: CallerRequest, payment_id: FromPath[UUID]) -> PaymentRead:
        return await find(payment_id, request.user)

    @post(
        "/payments/{payment_id:uuid}/capture",
        guards=[access.administrator],
        status_code=200,
        tags=["payments"],
        summary="Capture a payment",
    )
    async def capture(
        request: CallerRequest, payment_id: FromPath[UUID], idempotency_key: RequiredIdempotencyKey = None
    ) -> Response[PaymentRead]:
        required_key(idempotency_key)  # Not stored: a payment is captured once, whatever the key.
        await capture_manually(database, provider, payment_id)
        return _settled(await find(payment_id, request.user))

    @post(
        "/payments/{payment_id:uuid}/void",
        guards=[access.administrator],
        status_code=200,
        tags=["payments"],
        summary="Void a payment",
    )
    async def void(
        request: CallerRequest, payment_id: FromPath[UUID], idempotency_key: RequiredIdempotencyKey = None
    ) -> Response[PaymentRead]:
        required_key(idempotency_key)  # Not stored, as for a capture.
        await void_manually(database, provider, payment_id)
        return _settled(await find(payment_id, request.user))

    @post(
        "/payments/{payment_id:uuid}/refunds",
        guards=[access.administrator],
        tags=["refunds"],
        summary="Refund a payment, in whole or in part",
    )
    async def create_refund(
        request: CallerRequest,
        payment_id: FromPath[UUID],
        data: JSONBody[NewRefund],
        idempotency_key: RequiredIdempotencyKey = None,
    ) -> RefundRead:
        key = RefundKey(user_id_of(request), required_key(idempotency_key))
        # The buyer reads the reason in a mail.
        reason = visible_text.line(data.reason, member="reason", characters_max=TEXT_CHARACTERS_MAX)
        data = msgspec.structs.replace(data, reason=reason)
        refund = RefundToCreate(
            payment_id=payment_id,
            amount=data.amount,
            reason=reason,
            key=key,
            fingerprint=idempotency.fingerprint(data),
        )
        return _refund(await request_refund(database, provider, refund), request.user)

    @get(
        "/payments/{payment_id:uuid}/refunds",
        guards=[access.signed_in],
        tags=["refunds"],
        summary="The refunds of a payment",
    )
    async def list_refunds(
        request: CallerRequest, payment_id: FromPath[UUID], limit: Limit = 20, cursor: Cursor = None
    ) -> Page[RefundRead]:
        before = key_of(cursor, UUID)
        await find(payment_id, request.user)
        rows = await database.read(
            lambda connection: store.refunds.read_refunds(connection, payment_id, before, limit + 1)
        )
        return page_of(rows, limit, lambda row: row["id"]).map(lambda row: _refund(row, request.user))

    return [list_payments, read_payment, capture, void, create_refund, list_refunds]


Status = Literal["pending", "authorized", "declined", "voided", "captured", "partially_refunded", "refunded"]


def _status(row: Row) -> Status:
    if row["refunded_minor"]:
        return "refunded" if row["refunded_minor"] == row["amount_minor"] else "partially_refunded"
    status: Status = "pending" if row["state"] == "intended" else row["state"]
    return status


def _payment(row: Row) -> PaymentRead:
    return PaymentRead(
        id=row["id"],
        order_id=row["order_id"],
        status=_status(row),
        amount=money(row["amount_minor"], row["currency"]),
        refunded=money(row["refunded_minor"], row["currency"]),
        payment_method=Card(row["method_token"], row["method_brand"], row["method_last4"]),
        code=row["code"],
        created_at=row["created_at"],
        authorized_at=row["authorized_at"],
        captured_at=row["captured_at"],
        voided_at=row["voided_at"],
    )


def _settled(payment: PaymentRead) -> Response[PaymentRead]:
    """200, or 202 when the provider has not answered and a worker repeats the call."""
    return Response(payment, status_code=202 if payment.status in {"pending", "authorized"} else 200)


def _refund(row: Row, reader: Caller) -> RefundRead:
    return RefundRead(
        id=row["id"],
        payment_id=row["payment_id"],
        amount=money(row["amount_minor"], row["currency"]),
        reason=row["reason"],
        actor=row["actor"] if reader.is_administrator else without_operator_id(row["actor"]),
        status=row["state"],
        code=row["code"],
        created_at=row["created_at"],
        done_at=row["done_at"],
    )
