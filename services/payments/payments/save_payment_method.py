"""Saves a payment method of a buyer, and makes it the default when it is the first."""

from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.persistence.database import Connection, Database, Row
from chassis.web.idempotency import check_same_request
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.domain.payment_provider import Card
from payments.errors import AccountDeleted, TooManyPaymentMethods, UnknownPaymentMethod

METHODS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodToSave:
    """A method to be saved. `key` is the `Idempotency-Key`, and `fingerprint` that of the request."""

    user_id: UUID
    token: str
    label: str | None
    is_default: bool
    key: str | None
    fingerprint: bytes


async def save_payment_method(database: Database, provider: ProviderClient, method: MethodToSave) -> Row:
    """The saved method.

    Raises `UnknownPaymentMethod`, `TooManyPaymentMethods`, `KeyUsedAgain` and `AccountDeleted`.
    """
    card = await provider.describe(method.token)
    if card is None:
        raise UnknownPaymentMethod
    method_id = uuid7()
    return await database.run(lambda connection: _save(connection, method_id, method, card))


async def _save(connection: Connection, method_id: UUID, method: MethodToSave, card: Card) -> Row:
    user_id = method.user_id
    await store.payment_methods.lock_user(connection, user_id)
    # The erasure of an account takes the same lock.
    if await store.deleted_users.is_deleted(connection, user_id):
        raise AccountDeleted
    saved = await store.payment_methods.find_by_request(connection, user_id, method_id, method.key)
    if saved is None:
        count = await store.payment_methods.count(connection, user_id)
        if count >= METHODS_MAX:
            raise TooManyPaymentMethods
        await store.payment_methods.add(
            connection,
            method_id=method_id,
            user_id=user_id,
            token=method.token,
            label=method.label,
            brand=card.brand,
            last4=card.last4,
            is_default=method.is_default or count == 0,
            key=method.key,
            fingerprint=method.fingerprint,
        )
        saved = await store.payment_methods.find_by_request(connection, user_id, method_id, method.key)
        assert saved is not None, "the same transaction has inserted it"
    else:
        check_same_request(saved["fingerprint"], method.fingerprint)
    return saved
