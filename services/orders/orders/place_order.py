"""Places an order: keeps it, with its event, in one commit; then lets the checkout carry it as far as it goes.

Once the order is kept it will be brought to an end, whatever dies. The caller waits for that end up to a bound.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from msgspec import UNSET
from uuid_utils.compat import uuid7

from chassis import context
from chassis.batching import Batcher
from chassis.messaging.relay import Relay
from chassis.persistence.database import Database
from chassis.problems import KeyInProgress, KeyUsedAgain, OutcomeUnknown, Refusal, Unavailable
from chassis.web import idempotency
from orders import store
from orders.buy_carts import Purchase, buy_carts
from orders.checkout import CheckoutRunner
from orders.clients.users import Users
from orders.consumed_events import UserChanged
from orders.domain.order import Customer, Line, NewOrder, Order, Status
from orders.errors import AccountDeleted, NothingToBuy, RepeatedProduct, refusal_for
from orders.http.schemas import PlaceOrder
from orders.waiters import Waiting

_log = structlog.get_logger()


class OrderPlacer:
    """The use case, with what it needs. Orders that come at the same time are kept in one commit."""

    def __init__(
        self,
        database: Database,
        users: Users,
        runner: CheckoutRunner,
        waiting: Waiting,
        relay: Relay,
        *,
        lease_s: float,
        deadline_s: float,
        wait_s: float,
    ) -> None:
        self._database = database
        self._users = users
        self._runner = runner
        self._waiting = waiting
        self._relay = relay
        self._lease_s = lease_s
        self._deadline_s = deadline_s
        self._wait_s = wait_s
        self._placements: Batcher[NewOrder, Order | None] = Batcher("place order", self._keep)
        self._cart_placements: Batcher[NewOrder, Order | None] = Batcher("place order from cart", self._keep_carts)

    async def place(self, user_id: UUID, request: PlaceOrder, key: str | None, *, answer_later: bool) -> Order:
        """Place an order and wait for its end, `wait_s` at the most; it may still be pending then.

        Raises what the checkout refused it for, or `KeyUsedAgain`, `KeyInProgress`, `RepeatedProduct`, `NothingToBuy`,
        `CartAlreadyBought`, `AccountDeleted`, `Unavailable` when it could not be kept, and `OutcomeUnknown` when nobody
        knows.
        """
        new = _new_order(user_id, request, key, answer_later=answer_later)
        order = await (self._cart_placements if new.from_cart else self._placements).submit(new)
        if order is None:
            assert key is not None, "only a key that was used before leaves a purchase without an order of its own"
            return await self._repeated(new, key)
        _log.info("order placed", order_id=str(order.id))
        self._relay.wake()
        self._runner.start(order)
        if answer_later:
            return order
        ended = await self._waiting.end_of(order.id)
        if ended is None:
            ended = await self._as_kept(order)
        return _answer(ended)

    async def _as_kept(self, order: Order) -> Order:
        """The order as it is kept, and so will be read: not with what this process has learnt since."""
        try:
            return await self._database.run(lambda connection: store.orders.as_settled(connection, order))
        except Unavailable as refusal:
            # Not that nothing was done: the buyer would buy again.
            told = f"Order {order.id} is accepted; how it stands cannot be read now. Read it, instead of buying again."
            raise OutcomeUnknown(told, order_id=str(order.id)) from refusal

    async def _keep(self, orders: Sequence[NewOrder]) -> Sequence[Order | Exception | None]:
        """Insert a batch. Answers the order, None when its key was used before, or why it cannot be."""
        ready, refused = await self._buyers(orders)
        placed = await self._insert(ready) if ready else {}
        return [refused.get(new.id) or placed.get(new.id) for new in orders]

    async def _keep_carts(self, orders: Sequence[NewOrder]) -> Sequence[Order | Exception | None]:
        """The same for orders of what is in carts. Apart, since the others are one statement and this is several."""
        ready, refused = await self._buyers(orders)
        answers = await self._take_carts(ready) if ready else {}
        return [refused.get(new.id) or answers.get(new.id) for new in orders]

    async def _take_carts(self, ready: Sequence[Purchase]) -> dict[UUID, Order | Refusal]:
        return await self._database.run(
            lambda connection: buy_carts(connection, ready, lease_s=self._lease_s, deadline_s=self._deadline_s)
        )

    async def _buyers(self, orders: Sequence[NewOrder]) -> tuple[list[Purchase], dict[UUID, Exception]]:
        """The orders with their buyers; and why the others cannot be placed, by order id."""
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

    async def _insert(self, ready: Sequence[Purchase]) -> dict[UUID, Order]:
        placed = await self._database.run_statement(
            lambda connection: store.orders.insert(
                connection, ready, lease_s=self._lease_s, deadline_s=self._deadline_s
            )
        )
        missing = [new.id for new, _ in ready if new.id not in placed]
        if not missing:
            return placed
        # A commit whose answer was lost is repeated, and finds its own rows: they are ours, not a used key.
        return placed | await self._database.read(lambda connection: store.orders.by_ids(connection, missing))

    async def _customers(self, user_ids: Sequence[UUID]) -> dict[UUID, Customer | Exception | None]:
        """The buyers by id: from the copy, or from users when no event has told yet. None for a deleted account."""
        known: dict[UUID, Customer | Exception | None] = dict(
            await self._database.read(lambda connection: store.customers.customers(connection, user_ids))
        )
        unknown = list({user_id for user_id in user_ids if user_id not in known})
        if not unknown:
            return known
        try:
            told = await self._users.look_up(unknown)
        except Exception as error:
            _log.warning("users could not be asked who is buying", error=str(error))
            return known | dict.fromkeys(unknown, Unavailable("Users cannot be asked at the moment who is buying."))
        changes = [UserChanged(user.id, user.email, user.name, user.version) for user in told]
        await self._database.run(lambda connection: store.customers.remember(connection, changes))
        return known | {user.id: Customer(user.id, user.name, user.email) for user in told}

    async def _repeated(self, new: NewOrder, key: str) -> Order:
        """The stored answer for a key that was used before."""
        found = await self._database.read(lambda connection: store.orders.by_key(connection, new.user_id, key))
        assert found is not None, "orders are never deleted"
        order, fingerprint = found
        if fingerprint != new.fingerprint:
            raise KeyUsedAgain
        if order.status.is_final_for_checkout or order.answer_later:
            return _answer(order)
        if datetime.now(UTC) - order.created_at < timedelta(seconds=self._wait_s + 1.0):
            raise KeyInProgress
        return order


def _new_order(user_id: UUID, request: PlaceOrder, key: str | None, *, answer_later: bool) -> NewOrder:
    """The request as an order; one that buys the cart gets its lines when it is placed."""
    if (request.items is UNSET) != request.from_cart:
        raise NothingToBuy("Give either items, or from_cart: true.")
    items = [] if request.items is UNSET else request.items
    if len({item.product_id for item in items}) != len(items):
        raise RepeatedProduct
    expected = None if request.expected_total is UNSET else request.expected_total
    return NewOrder(
        id=uuid7(),
        user_id=user_id,
        lines=tuple(Line(item.product_id, item.quantity) for item in items),
        payment_method=None if request.payment_method is UNSET else request.payment_method,
        expected_total_minor=None if expected is None else expected.minor(),
        expected_currency=None if expected is None else expected.currency,
        from_cart=request.from_cart,
        answer_later=answer_later,
        idempotency_key=key,
        fingerprint=idempotency.fingerprint(request),
        correlation_id=context.correlation_id(),
        traceparent=context.traceparent(),
    )


def _answer(order: Order) -> Order:
    """The order as the answer to its purchase. Raises why it came to nothing."""
    if order.status in {Status.REFUSED, Status.CANCELLED} and order.confirmed_at is None and not order.answer_later:
        assert order.reason is not None, "an order ends for a reason"
        raise refusal_for(order.reason, order)
    return order
