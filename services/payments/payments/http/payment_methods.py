"""The caller's own payment methods."""

from typing import Any
from uuid import UUID

from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.persistence.database import Database, Row
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page, cursor_of, key_of
from payments import store
from payments.keep_payment_methods import KeepMethods
from payments.messages import NewPaymentMethod, PaymentMethod

ServiceRequest = Request[Caller, Any, Any]


def routes(database: Database, keeping: KeepMethods) -> list[HTTPRouteHandler]:
    @post("/payment-methods", guards=[access.signed_in], tags=["payment methods"], summary="Save a payment method")
    async def save(
        request: ServiceRequest, data: JSONBody[NewPaymentMethod], idempotency_key: IdempotencyKey = None
    ) -> PaymentMethod:
        return _method(await keeping.save(_user_id(request), data, accepted_key(idempotency_key)))

    @get("/payment-methods", guards=[access.signed_in], tags=["payment methods"], summary="My payment methods")
    async def list_methods(request: ServiceRequest, limit: Limit = 20, cursor: Cursor = None) -> Page[PaymentMethod]:
        after, user_id = key_of(cursor, UUID), _user_id(request)
        rows = await database.read(
            lambda connection: store.payment_methods.read_methods(connection, user_id, after, limit + 1)
        )
        methods = [_method(row) for row in rows[:limit]]
        return Page(methods, cursor_of(methods[-1].id) if len(rows) > limit else None)

    @delete(
        "/payment-methods/{method_id:uuid}",
        guards=[access.signed_in],
        tags=["payment methods"],
        summary="Remove a payment method",
    )
    async def remove(request: ServiceRequest, method_id: FromPath[UUID]) -> None:
        await keeping.remove(_user_id(request), method_id)

    return [save, list_methods, remove]


def _user_id(request: ServiceRequest) -> UUID:
    assert request.user.user_id is not None, "the guard lets only people through"
    return request.user.user_id


def _method(row: Row) -> PaymentMethod:
    return PaymentMethod(
        id=row["id"],
        token=row["token"],
        label=row["label"],
        brand=row["brand"],
        last4=row["last4"],
        default=row["is_default"],
        created_at=row["created_at"],
    )
