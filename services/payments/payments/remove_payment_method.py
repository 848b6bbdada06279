"""Removes a saved payment method of a buyer."""

from uuid import UUID

from chassis.persistence.database import Connection, Database
from payments import store
from payments.errors import PaymentMethodNotFound


async def remove_payment_method(database: Database, user_id: UUID, method_id: UUID) -> None:
    """Remove the method; the oldest of the others becomes the default when it was. Raises `PaymentMethodNotFound`."""

    async def work(connection: Connection) -> bool:
        await store.payment_methods.lock_user(connection, user_id)
        return await store.payment_methods.remove(connection, user_id, method_id)

    if not await database.run(work):
        raise PaymentMethodNotFound
