"""Places an order: stores it, with its event, in one commit; then the checkout carries it as far as it goes.

A stored order is brought to an end, whichever process dies. The request waits for that end for a limited time.
"""

from datetime import UTC, datetime, timedelta

import structlog

from chassis.persistence.database import Database
from chassis.problems import KeyInProgress, OutcomeUnknown, Unavailable
from chassis.web.idempotency import check_same_request
from orders import store
from orders.checkout import CheckoutRunner
from orders.domain.order import NewOrder, Order, Status
from orders.errors import NothingToBuy, RepeatedProduct, refusal_for
from orders.order_batcher import OrderBatcher
from orders.waiters import Waiters

_log = structlog.get_logger()


async def place_order(
    database: Database, batcher: OrderBatcher, runner: CheckoutRunner, purchases: Waiters, new: NewOrder
) -> Order:
    """Place an order and wait for its end, as long as `purchases` does; it may still be pending then.

    Raises the refusal of the checkout, or `KeyUsedAgain`, `KeyInProgress`, `RepeatedProduct`, `NothingToBuy`,
    `CartAlreadyBought`, `AccountDeleted`, `Unavailable` when the order is not stored, and `OutcomeUnknown` when that is
    not known.
    """
    if bool(new.lines) == new.from_cart:
        raise NothingToBuy("Give either items, or from_cart: true.")
    if len({line.product_id for line in new.lines}) != len(new.lines):
        raise RepeatedProduct
    order = await batcher.place(new)
    if order is None:
        return await _repeat(database, new, wait_s=purchases.wait_s)
    _log.info("order placed", order_id=str(order.id))
    runner.start(order)
    if new.answer_later:
        return order
    ended = await purchases.wait_for_end(order.id)
    return _answer(await _read_settled(database, order) if ended is None else ended)


async def _read_settled(database: Database, order: Order) -> Order:
    try:
        return await database.run(lambda connection: store.orders.as_settled(connection, order))
    except Unavailable as refusal:
        # Not `Unavailable`, which means that nothing was done: the client would buy again.
        detail = f"Order {order.id} is accepted; how it stands cannot be read now. Read it, instead of buying again."
        raise OutcomeUnknown(detail, order_id=str(order.id)) from refusal


async def _repeat(database: Database, new: NewOrder, *, wait_s: float) -> Order:
    """The stored answer for a key that was used before."""
    key = new.idempotency_key
    assert key is not None, "only a purchase whose key was used before has no order of its own"
    found = await database.read(lambda connection: store.orders.by_key(connection, new.user_id, key))
    assert found is not None, "orders are never deleted"
    order, fingerprint = found
    check_same_request(fingerprint, new.fingerprint)
    if order.status.is_final_for_checkout or order.answer_later:
        return _answer(order)
    if datetime.now(UTC) - order.created_at < timedelta(seconds=wait_s + 1.0):
        raise KeyInProgress
    return order


def _answer(order: Order) -> Order:
    """The order as the answer to its purchase. Raises the refusal of an order that ended without goods."""
    if order.status in {Status.REFUSED, Status.CANCELLED} and order.confirmed_at is None and not order.answer_later:
        assert order.reason is not None, "an order ends for a reason"
        raise refusal_for(order.reason, order)
    return order
