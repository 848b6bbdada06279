"""Stores orders that are placed at the same time in one commit."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis.batching import Batcher
from chassis.persistence.database import Database
from chassis.problems import Refusal, Unavailable
from orders import store
from orders.buy_carts import Purchase, buy_carts
from orders.clients.users import Users
from orders.consumed_events import UserChanged
from orders.domain.order import Customer, NewOrder, Order
from orders.errors import AccountDeleted

_log = structlog.get_logger()


class OrderBatcher:
    """Orders of carts have batches of their own: they take several statements, and the others one."""

    def __init__(self, database: Database, users: Users, *, lease_s: float, deadline_s: float) -> None:
        self._database = database
        self._users = users
        self._lease_s = lease_s
        self._deadline_s = deadline_s
        self._placements: Batcher[NewOrder, Order | None] = Batcher("place order", self._place_batch)
        self._cart_placements: Batcher[NewOrder, Order | None] = Batcher("place order from cart", self._place_carts)

    async def place(self, new: NewOrder) -> Order | None:
        """The stored order, or None when its key was used before.

        Raises `NothingToBuy`, `CartAlreadyBought`, `AccountDeleted`, or `Unavailable` when the order is not stored.
        """
        return await (self._cart_placements if new.from_cart else self._placements).submit(new)

    async def _place_batch(self, orders: Sequence[NewOrder]) -> Sequence[Order | Exception | None]:
        ready, refused = await self._with_customers(orders)
        placed = await self._insert(ready) if ready else {}
        return [refused.get(new.id) or placed.get(new.id) for new in orders]

    async def _place_carts(self, orders: Sequence[NewOrder]) -> Sequence[Order | Exception | None]:
        ready, refused = await self._with_customers(orders)
        answers = await self._buy_carts(ready) if ready else {}
        return [refused.get(new.id) or answers.get(new.id) for new in orders]

    async def _insert(self, ready: Sequence[Purchase]) -> dict[UUID, Order]:
        placed = await self._database.run_statement(
            lambda connection: store.orders.insert(
                connection, ready, lease_s=self._lease_s, deadline_s=self._deadline_s
            )
        )
        missing = [new.id for new, _ in ready if new.id not in placed]
        if not missing:
            return placed
        # A commit without an answer is repeated, and conflicts with its own rows: their keys were not used before.
        return placed | await self._database.read(lambda connection: store.orders.by_ids(connection, missing))

    async def _buy_carts(self, ready: Sequence[Purchase]) -> dict[UUID, Order | Refusal]:
        return await self._database.run(
            lambda connection: buy_carts(connection, ready, lease_s=self._lease_s, deadline_s=self._deadline_s)
        )

    async def _with_customers(self, orders: Sequence[NewOrder]) -> tuple[list[Purchase], dict[UUID, Exception]]:
        """The orders with their customers; and why the others cannot be placed, by order id."""
        known = await self._customers([new.user_id for new in orders])
        ready: list[Purchase] = []
        refused: dict[UUID, Exception] = {}
        for new in orders:
            customer = known.get(new.user_id)
            if isinstance(customer, Customer):
                ready.append((new, customer))
            else:
                refused[new.id] = customer or AccountDeleted()
        return ready, refused

    async def _customers(self, user_ids: Sequence[UUID]) -> dict[UUID, Customer | Exception | None]:
        """The customers by id: from the copy, or from users before their first event. None for a deleted account."""
        known: dict[UUID, Customer | Exception | None] = dict(
            await self._database.read(lambda connection: store.customers.customers(connection, user_ids))
        )
        unknown = list({user_id for user_id in user_ids if user_id not in known})
        if not unknown:
            return known
        try:
            found = await self._users.look_up(unknown)
        except Exception as error:
            _log.warning("lookup of customers failed", error=str(error))
            return known | dict.fromkeys(unknown, Unavailable("Users cannot be asked at the moment who is buying."))
        changes = [UserChanged(user.id, user.email, user.name, user.version) for user in found]
        await self._database.run(lambda connection: store.customers.remember(connection, changes))
        return known | {user.id: Customer(user.id, user.name, user.email) for user in found}
