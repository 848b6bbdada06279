"""The statements about carts: their items, their versions, and which order bought which version.

A version counts the customer's changes. An order takes the items of a cart in the transaction that places it, and is
recorded with the version that it took; a unique constraint admits one order for a version. A transaction that changes
or buys a cart locks its row in `carts` until the commit. A trigger counts the changes by a replica of an earlier
version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement
from orders.domain.order import Line, Order

# In the order of the ids, so that two replicas cannot deadlock.
_LOCKED = """
    INSERT INTO carts (user_id, version)
    SELECT DISTINCT user_id, 1
    FROM unnest(:user_ids::uuid[]) AS customer (user_id)
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET version = """
_LOCK = Statement(_LOCKED + "carts.version")
_BEGIN_CHANGE = Statement(_LOCKED + "carts.version + 1")


async def cart(connection: Connection, user_id: UUID) -> tuple[Line, ...]:
    """The lines of the cart, in the order of their insertion."""
    return (await contents(connection, [user_id])).get(user_id, ())


_CONTENTS = Statement(
    """
    SELECT user_id, product_id, quantity
    FROM cart_items
    WHERE user_id = ANY (:user_ids)
    ORDER BY added_at, product_id
    """
)


async def contents(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, tuple[Line, ...]]:
    """The lines of the carts, by user. An empty cart is left out."""
    lines: dict[UUID, list[Line]] = {}
    for row in await _CONTENTS.fetch(connection, user_ids=user_ids):
        lines.setdefault(row["user_id"], []).append(Line(row["product_id"], row["quantity"]))
    return {user_id: tuple(of_user) for user_id, of_user in lines.items()}


# --- Changing a cart


async def begin_change(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Lock the carts and increment their versions. Items of earlier purchases are not restored from then on."""
    await _BEGIN_CHANGE.execute(connection, user_ids=user_ids)


_COUNT_OTHERS = Statement("SELECT count(*) FROM cart_items WHERE user_id = :user_id AND product_id <> :product_id")
# The time of the statement: that of the transaction may be before a purchase that it waited for.
_PUT = Statement(
    """
    INSERT INTO cart_items (user_id, product_id, quantity, added_at)
    VALUES (:user_id, :product_id, :quantity, clock_timestamp())
    ON CONFLICT (user_id, product_id) DO UPDATE SET quantity = excluded.quantity
    """
)


async def put(connection: Connection, user_id: UUID, line: Line, *, lines_max: int) -> bool:
    """Set the quantity of a product; False when the cart holds `lines_max` other products already."""
    others = await _COUNT_OTHERS.fetchval(connection, user_id=user_id, product_id=line.product_id)
    if others >= lines_max:
        return False
    await _PUT.execute(connection, user_id=user_id, product_id=line.product_id, quantity=line.quantity)
    return True


_REMOVE = Statement(
    """
    DELETE FROM cart_items
    WHERE user_id = ANY (:user_ids)
      AND (:product_id::uuid IS NULL OR product_id = :product_id)
    """
)


async def remove(connection: Connection, user_ids: Sequence[UUID], product_id: UUID | None = None) -> None:
    """Remove one product, or all."""
    await _REMOVE.execute(connection, user_ids=user_ids, product_id=product_id)


# --- Buying a cart


async def lock(connection: Connection, user_ids: Sequence[UUID]) -> None:
    await _LOCK.execute(connection, user_ids=user_ids)


@dataclass(slots=True)
class _PurchaseRow:
    order_id: UUID
    user_id: UUID


@dataclass(slots=True)
class _ItemRow:
    user_id: UUID
    product_id: UUID


_TAKE = Statement(
    """
    WITH bought AS (
        INSERT INTO cart_purchases (order_id, user_id, cart_version)
        SELECT purchases.order_id, carts.user_id, carts.version
        FROM :purchases
        JOIN carts ON carts.user_id = purchases.user_id
    )
    DELETE FROM cart_items
    USING :items
    WHERE cart_items.user_id = items.user_id
      AND cart_items.product_id = items.product_id
    """,
    purchases=_PurchaseRow,
    items=_ItemRow,
)


async def take(connection: Connection, orders: Sequence[Order]) -> None:
    """Take the lines of each order out of its customer's cart, which is locked, and record the version as bought."""
    await _TAKE.execute(
        connection,
        purchases=[_PurchaseRow(order_id=order.id, user_id=order.customer.id) for order in orders],
        items=[
            _ItemRow(user_id=order.customer.id, product_id=line.product_id) for order in orders for line in order.lines
        ],
    )


_BOUGHT_BY = Statement(
    """
    SELECT bought.order_id
    FROM carts
    JOIN cart_purchases AS bought ON bought.user_id = carts.user_id AND bought.cart_version = carts.version
    JOIN orders ON orders.id = bought.order_id
    WHERE carts.user_id = :user_id
      AND (orders.status NOT IN ('refused', 'cancelled') OR orders.confirmed_at IS NOT NULL)
    """
)


async def bought_by(connection: Connection, user_id: UUID) -> UUID | None:
    """The order that bought the current version of the cart, if any.

    An order that ended without goods does not count: a replica of an earlier version does not restore its items.
    """
    order_id: UUID | None = await _BOUGHT_BY.fetchval(connection, user_id=user_id)
    return order_id


_RESTORE_ITEMS = Statement(
    """
    WITH unchanged AS (
        UPDATE carts
        SET version = carts.version + 1
        FROM cart_purchases AS bought
        WHERE bought.order_id = ANY (:order_ids)
          AND carts.user_id = bought.user_id
          AND carts.version = bought.cart_version
        RETURNING bought.order_id
    )
    INSERT INTO cart_items (user_id, product_id, quantity, added_at)
    SELECT orders.user_id, (line ->> 'product_id')::uuid, (line ->> 'quantity')::integer,
           clock_timestamp() + place * interval '1 microsecond'
    FROM unchanged
    JOIN orders ON orders.id = unchanged.order_id
    CROSS JOIN LATERAL jsonb_array_elements(orders.lines) WITH ORDINALITY AS item (line, place)
    ON CONFLICT (user_id, product_id) DO NOTHING
    """
)


async def restore_items(connection: Connection, orders: Sequence[Order]) -> None:
    """Put the lines of ended orders back into those carts that have not changed since."""
    order_ids = [order.id for order in orders if order.from_cart]
    if not order_ids:
        return
    await lock(connection, [order.customer.id for order in orders if order.from_cart])
    await _RESTORE_ITEMS.execute(connection, order_ids=order_ids)


# --- Keys of purchases whose cart another order bought

_KEEP_REFUSAL = Statement(
    """
    INSERT INTO cart_refusals (user_id, idempotency_key, fingerprint, bought_by)
    VALUES (:user_id, :key, :fingerprint, :order_id)
    ON CONFLICT (user_id, idempotency_key) DO NOTHING
    """
)


async def keep_refusal(connection: Connection, user_id: UUID, key: str, fingerprint: bytes, order_id: UUID) -> None:
    await _KEEP_REFUSAL.execute(connection, user_id=user_id, key=key, fingerprint=fingerprint, order_id=order_id)


@dataclass(slots=True)
class _KeyRow:
    user_id: UUID
    idempotency_key: str


_REFUSALS = Statement(
    """
    SELECT user_id, idempotency_key, fingerprint, bought_by
    FROM cart_refusals
    JOIN :requested USING (user_id, idempotency_key)
    """,
    requested=_KeyRow,
)


async def refusals(
    connection: Connection, keys: Sequence[tuple[UUID, str]]
) -> Mapping[tuple[UUID, str], tuple[bytes, UUID]]:
    """By user and key: the fingerprint of the refused request, and the order that bought its cart."""
    if not keys:
        return {}
    rows = await _REFUSALS.fetch(connection, requested=[_KeyRow(user_id, key) for user_id, key in keys])
    return {(row["user_id"], row["idempotency_key"]): (row["fingerprint"], row["bought_by"]) for row in rows}
