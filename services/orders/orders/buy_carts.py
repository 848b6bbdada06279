"""Places orders of carts. A cart is bought at most once, at any number of requests and replicas.

One commit stores the order, removes its lines from the cart, and records the version of the cart that it bought. The
next purchase finds the cart empty, and the order that bought it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.problems import KeyUsedAgain, Refusal
from chassis.web.idempotency import check_same_request
from orders import store
from orders.domain.order import Customer, NewOrder, Order
from orders.errors import CartAlreadyBought, NothingToBuy

Purchase = tuple[NewOrder, Customer]


async def buy_carts(
    connection: Connection, purchases: Sequence[Purchase], *, lease_s: float, deadline_s: float
) -> dict[UUID, Order | Refusal]:
    """The order of each purchase, or its refusal, by id. A purchase whose key has an order already is left out.

    Needs a transaction. Idempotent, since a commit without an answer is repeated.
    """
    user_ids = [new.user_id for new, _ in purchases]
    await store.carts.lock(connection, user_ids)
    answers: dict[UUID, Order | Refusal] = dict(await _refused_before(connection, purchases))
    carts = await store.carts.contents(connection, user_ids)
    for purchases_of_round in _rounds([purchase for purchase in purchases if purchase[0].id not in answers]):
        ready = [
            (dataclasses.replace(new, lines=carts[new.user_id]), customer)
            for new, customer in purchases_of_round
            if new.user_id in carts
        ]
        if not ready:
            break
        placed = await store.orders.insert(connection, ready, lease_s=lease_s, deadline_s=deadline_s)
        await store.carts.take(connection, list(placed.values()))
        for order in placed.values():
            del carts[order.customer.id]
        answers |= placed
    for new, _ in purchases:
        if new.id not in answers and (answer := await _refuse(connection, new)) is not None:
            answers[new.id] = answer
    return answers


def _rounds(purchases: Sequence[Purchase]) -> Iterator[list[Purchase]]:
    """The first purchase of each customer, then the second of each, and so on."""
    while purchases:
        first = {new.user_id: (new, customer) for new, customer in reversed(purchases)}
        yield list(first.values())
        purchases = [purchase for purchase in purchases if first[purchase[0].user_id][0] is not purchase[0]]


async def _refused_before(connection: Connection, purchases: Sequence[Purchase]) -> dict[UUID, Refusal]:
    keys = [(new.user_id, new.idempotency_key) for new, _ in purchases if new.idempotency_key is not None]
    refusals = await store.carts.refusals(connection, keys)
    refused: dict[UUID, Refusal] = {}
    for new, _ in purchases:
        if new.idempotency_key is not None and (new.user_id, new.idempotency_key) in refusals:
            fingerprint, order_id = refusals[new.user_id, new.idempotency_key]
            refused[new.id] = _refuse_again(new, fingerprint, order_id)
    return refused


def _refuse_again(new: NewOrder, fingerprint: bytes, order_id: UUID) -> Refusal:
    try:
        check_same_request(fingerprint, new.fingerprint)
    except KeyUsedAgain as refusal:
        return refusal
    return _already_bought(order_id)


async def _refuse(connection: Connection, new: NewOrder) -> Order | Refusal | None:
    """Why the purchase has no new order. None for a key that has one. A refusal is stored, for repeats of its key."""
    own = await store.orders.by_ids(connection, [new.id])
    if own:
        return own[new.id]
    key = new.idempotency_key
    if key is not None and await store.orders.by_key(connection, new.user_id, key) is not None:
        return None
    order_id = await store.carts.bought_by(connection, new.user_id)
    if order_id is None:
        return NothingToBuy("The cart is empty.")
    if key is not None:
        await store.carts.keep_refusal(connection, new.user_id, key, new.fingerprint, order_id)
    return _already_bought(order_id)


def _already_bought(order_id: UUID) -> CartAlreadyBought:
    return CartAlreadyBought(
        f"Order {order_id} has bought what was in the cart. Put something into it to buy again.",
        order_id=str(order_id),
    )
