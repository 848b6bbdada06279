"""The saga's record in the orders table: which way an order goes, when it is tried again, and that it has ended."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from chassis.batching import Batcher
from chassis.persistence.database import Database
from orders import store
from orders.domain.order import DEADLINE_PASSED, Order, Reason, Status


class OrderRecord:
    """A `saga.Record`. `is_awaited` tells whether the purchase itself waits for the order's end, in this process."""

    def __init__(self, database: Database, *, lease_s: float, is_awaited: Callable[[UUID], bool]) -> None:
        self._database = database
        self._lease_s = lease_s
        self._is_awaited = is_awaited
        self._delays: Batcher[tuple[UUID, float, str], None] = Batcher("put off", self._put_off)

    async def turn_round(self, turns: Sequence[tuple[Order, Reason]]) -> Sequence[Order]:
        return await self._database.run(
            lambda connection: store.checkout.turn_round(connection, turns, lease_s=self._lease_s)
        )

    async def end_undone(self, ends: Sequence[tuple[Order, Reason | None]]) -> Sequence[Order]:
        return await self._database.run(
            lambda connection: store.checkout.end_undone(connection, ends, self._is_awaited)
        )

    async def put_off(self, delays: Sequence[tuple[Order, float, str]]) -> None:
        for order, delay_s, why in delays:
            await self._delays.submit((order.id, delay_s, why))

    async def _put_off(self, delays: Sequence[tuple[UUID, float, str]]) -> Sequence[None]:
        await self._database.run_statement(lambda connection: store.checkout.put_off(connection, delays))
        return [None] * len(delays)

    async def reread(self, subjects: Sequence[Order]) -> Sequence[Order]:
        return await self._database.read(lambda connection: store.orders.reread(connection, subjects))

    def has_turned(self, subject: Order) -> bool:
        return subject.status is Status.CANCELLING

    def has_ended(self, subject: Order) -> bool:
        return subject.status.is_final_for_checkout

    def reason_to_turn(self, subject: Order) -> Reason | None:
        return DEADLINE_PASSED if subject.is_past_deadline(datetime.now(UTC)) else None
