"""The caller's own saved payment methods."""

from uuid import UUID

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.persistence.database import Database, Row
from chassis.security import access
from chassis.values import visible_text
from chassis.web import idempotency
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest, user_id_of
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.http.schemas import NewPaymentMethod, PaymentMethod
from payments.remove_payment_method import remove_payment_method
from payments.save_payment_method import MethodToSave, save_payment_method


def routes(database: Database, provider: ProviderClient) -> list[HTTPRouteHandler]:
    @post("/payment-methods", guards=[access.signed_in], tags=["payment methods"], summary="Save a payment method")
    async def save(
        request: CallerRequest, data: JSONBody[NewPaymentMethod], idempotency_key: IdempotencyKey = None
    ) -> PaymentMethod:
        if data.label is not None:
            data = msgspec.structs.replace(data, label=visible_text.name(data.label, member="label"))
        method = MethodToSave(
            user_id=user_id_of(request),
            token=data.token,
            label=data.label,
            is_default=data.default,
            key=accepted_key(idempotency_key),
            fingerprint=idempotency.fingerprint(data),
        )
        return _method(await save_payment_method(database, provider, method))

    @get("/payment-methods", guards=[access.signed_in], tags=["payment methods"], summary="My payment methods")
    async def list_methods(request: CallerRequest, limit: Limit = 20, cursor: Cursor = None) -> Page[PaymentMethod]:
        after, user_id = key_of(cursor, UUID), user_id_of(request)
        rows = await database.read(
            lambda connection: store.payment_methods.read_methods(connection, user_id, after, limit + 1)
        )
        return page_of(rows, limit, lambda row: row["id"]).map(_method)

    @delete(
        "/payment-methods/{method_id:uuid}",
        guards=[access.signed_in],
        tags=["payment methods"],
        summary="Remove a payment method",
    )
    async def remove(request: CallerRequest, method_id: FromPath[UUID]) -> None:
        await remove_payment_method(database, user_id_of(request), method_id)

    return [save, list_methods, remove]


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
