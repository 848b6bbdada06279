"""A buyer saves payment methods, names one of them the default, and removes them again."""

from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from chassis.persistence.database import Connection, Database, Row
from chassis.problems import KeyUsedAgain
from chassis.values import visible_text
from chassis.web import idempotency
from payments import store
from payments.domain.payment_provider import Card
from payments.errors import AccountDeleted, PaymentMethodNotFound, TooManyPaymentMethods, UnknownPaymentMethod
from payments.messages import NewPaymentMethod
from payments.providers.provider_client import ProviderCalls

METHODS_MAX = 20


class KeepMethods:
    def __init__(self, database: Database, provider: ProviderCalls) -> None:
        self._database = database
        self._provider = provider

    async def save(self, user_id: UUID, method: NewPaymentMethod, key: str | None) -> Row:
        """The saved method.

        Raises `InvalidName`, `UnknownPaymentMethod`, `TooManyPaymentMethods`, `KeyUsedAgain` and `AccountDeleted`.
        """
        if method.label is not None:
            method = msgspec.structs.replace(method, label=visible_text.name(method.label, member="label"))
        card = await self._provider.describe(method.token)
        if card is None:
            raise UnknownPaymentMethod
        method_id = uuid7()
        return await self._database.run(lambda connection: _save(connection, method_id, user_id, method, card, key))

    async def remove(self, user_id: UUID, method_id: UUID) -> None:
        """Raises `PaymentMethodNotFound`."""

        async def work(connection: Connection) -> bool:
            await store.payment_methods.lock_wallet(connection, user_id)
            return await store.payment_methods.remove(connection, user_id, method_id)

        if not await self._database.run(work):
            raise PaymentMethodNotFound


async def _save(
    connection: Connection, method_id: UUID, user_id: UUID, method: NewPaymentMethod, card: Card, key: str | None
) -> Row:
    await store.payment_methods.lock_wallet(connection, user_id)
    # Asked under the lock, which the erasure takes, too.
    if await store.deleted_users.is_deleted(connection, user_id):
        raise AccountDeleted
    fingerprint = idempotency.fingerprint(method)
    asked = await store.payment_methods.find_asked(connection, user_id, method_id, key)
    if asked is None:
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
            is_default=method.default or count == 0,
            key=key,
            fingerprint=fingerprint,
        )
        asked = await store.payment_methods.find_asked(connection, user_id, method_id, key)
        assert asked is not None, "it was added in this very transaction"
    elif asked["fingerprint"] != fingerprint:
        raise KeyUsedAgain
    return asked
