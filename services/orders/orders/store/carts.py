"""The statements about carts: their items, their versions, and which order bought which version.

A version counts the customer's changes. An order takes the items of a cart in the transaction that places it, and is
recorded with the version that it took; a unique constraint admits one order for a version. A transaction that changes
or buys a cart locks its row in `carts` until the commit. A trigger counts the changes by a replica of an earlier
version.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from orders.domain.order import Line, Order

# In the order of the ids, so that two replicas cannot deadlock.
_LOCKED = """
    INSERT INTO carts (user_id, version)
    SELECT DISTINCT user_id, 1
    FROM unnest($1::uuid[]) AS customer (user_id)
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET version = """
_LOCK = _LOCKED + "carts.version"
_CHANGE = _LOCKED + "carts.version + 1"


async def cart(connection: Connection, user_id: UUID) -> tuple[Line, ...]:
    """The lines of the cart, in the order of their insertion."""
    return (await contents(connection, [user_id])).get(user_id, ())


async def contents(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, tuple[Line, ...]]:
    """The lines of the carts, by user. An empty cart is left out."""
    rows = await connection.fetch(
        """
        SELECT user_id, product_id, quantity
        FROM cart_items
        WHERE user_id = ANY($1::uuid[])
        ORDER BY added_at, product_id
        """,
        user_ids,
    )
    lines: dict[UUID, list[Line]] = {}
    for row in rows:
        lines.setdefault(row["user_id"], []).append(Line(row["product_id"], row["quantity"]))
    return {user_id: tuple(of_user) for user_id, of_user in lines.items()}


# --- Changing a cart


async def begin_change(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Lock the carts and increment their versions. Items of earlier purchases are not restored from then on."""
    await connection.execute(_CHANGE, user_ids)


async def put(connection: Connection, user_id: UUID, line: Line, *, lines_max: int) -> bool:
    """Set the quantity of a product; False when the cart holds `lines_max` other products already."""
    others = await connection.fetchval(
        "SELECT count(*) FROM cart_items WHERE user_id = $1 AND product_id <> $2", user_id, line.product_id
    )
    if others >= lines_max:
        return False
    # The time of the statement: that of the transaction may be before a purchase that it waited for.
    await connection.execute(
        """
        INSERT INTO cart_items (user_id, product_id, quantity, added_at) VALUES ($1, $2, $3, clock_timestamp())
        ON CONFLICT (user_id, product_id) DO UPDATE SET quantity = excluded.quantity
        """,
        user_id,
        line.product_id,
        line.quantity,
    )
    return True


async def remove(connection: Connection, user_ids: Sequence[UUID], product_id: UUID | None = None) -> None:
    """Remove one product, or all."""
    await connection.execute(
        "DELETE FROM cart_items WHERE user_id = ANY($1::uuid[]) AND ($2::uuid IS NULL OR product_id = $2)",
        user_ids,
        product_id,
    )


# --- Buying a cart


async def lock(connection: Connection, user_ids: Sequence[UUID]) -> None:
    await connection.execute(_LOCK, user_ids)


async def take(connection: Connection, orders: Sequence[Order]) -> None:
    """Take the lines of each order out of its customer's cart, which is locked, and record the version as bought."""
    lines = [(order.customer.id, line.product_id) for order in orders for line in order.lines]
    await connection.execute(
        """
        WITH bought AS (
            INSERT INTO cart_purchases (order_id, user_id, cart_version)
            SELECT new.order_id, carts.user_id, carts.version
            FROM unnest($1::uuid[], $2::uuid[]) AS new (order_id, user_id)
            JOIN carts ON carts.user_id = new.user_id
        )
        DELETE FROM cart_items
        USING unnest($3::uuid[], $4::uuid[]) AS line (user_id, product_id)
        WHERE cart_items.user_id = line.user_id
          AND cart_items.product_id = line.product_id
        """,
        [order.id for order in orders],
        [order.customer.id for order in orders],
        [user_id for user_id, _ in lines],
        [product_id for _, product_id in lines],
    )


async def bought_by(connection: Connection, user_id: UUID) -> UUID | None:
    """The order that bought the current version of the cart, if any.

    An order that ended without goods does not count: a replica of an earlier version does not restore its items.
    """
    order_id: UUID | None = await connection.fetchval(
        """
        SELECT bought.order_id
        FROM carts
        JOIN cart_purchases AS bought ON bought.user_id = carts.user_id AND bought.cart_version = carts.version
        JOIN orders ON orders.id = bought.order_id
        WHERE carts.user_id = $1
          AND (orders.status NOT IN ('refused', 'cancelled') OR orders.confirmed_at IS NOT NULL)
        """,
        user_id,
    )
    return order_id


async def restore_items(connection: Connection, orders: Sequence[Order]) -> None:
    """Put the lines of ended orders back into those carts that have not changed since."""
    order_ids = [order.id for order in orders if order.from_cart]
    if not order_ids:
        return
    await lock(connection, [order.customer.id for order in orders if order.from_cart])
    await connection.execute(
        """
        WITH unchanged AS (
            UPDATE carts
            SET version = carts.version + 1
            FROM cart_purchases AS bought
            WHERE bought.order_id = ANY($1::uuid[])
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
        """,
        order_ids,
    )


# --- Keys of purchases whose cart another order bought


async def keep_refusal(connection: Connection, user_id: UUID, key: str, fingerprint: bytes, order_id: UUID) -> None:
    await connection.execute(
        """
        INSERT INTO cart_refusals (user_id, idempotency_key, fingerprint, bought_by) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, idempotency_key) DO NOTHING
        """,
        user_id,
        key,
        fingerprint,
        order_id,
    )


async def refusals(
    connection: Connection, keys: Sequence[tuple[UUID, str]]
) -> Mapping[tuple[UUID, str], tuple[bytes, UUID]]:
    """By user and key: the fingerprint of the refused request, and the order that bought its cart."""
    if not keys:
        return {}
    rows = await connection.fetch(
        """
        SELECT user_id, idempotency_key, fingerprint, bought_by
        FROM cart_refusals
        JOIN unnest($1::uuid[], $2::text[]) AS asked (user_id, idempotency_key) USING (user_id, idempotency_key)
        """,
        [user_id for user_id, _ in keys],
        [key for _, key in keys],
    )
    return {(row["user_id"], row["idempotency_key"]): (row["fingerprint"], row["bought_by"]) for row in rows}
