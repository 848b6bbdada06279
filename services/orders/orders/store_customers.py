"""Every SQL statement about carts and about the copy of users' names and addresses."""

from collections.abc import Sequence
from uuid import UUID

from chassis.database import Connection
from orders.messages import UserChanged, UserDeleted
from orders.order import Customer


async def customers(connection: Connection, user_ids: Sequence[UUID]) -> dict[UUID, Customer | None]:
    """The copies by user id; None for a user who was deleted. Who is not known is left out."""
    rows = await connection.fetch(
        "SELECT user_id, name, email, deleted FROM customers WHERE user_id = ANY($1::uuid[])", user_ids
    )
    return {
        row["user_id"]: None if row["deleted"] else Customer(row["user_id"], row["name"], row["email"]) for row in rows
    }


async def remember(connection: Connection, users: Sequence[UserChanged]) -> None:
    """Keep name and address of each, unless what is kept is newer. Each user stands once in `users`."""
    await connection.execute(
        """
        INSERT INTO customers (user_id, name, email, version)
        SELECT user_id, name, email, version
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[]) AS new (user_id, name, email, version)
        ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET name = excluded.name, email = excluded.email, version = excluded.version
        WHERE customers.version < excluded.version AND NOT customers.deleted
        """,
        [user.user_id for user in users],
        [user.name for user in users],
        [user.email for user in users],
        [user.version for user in users],
    )


async def forget(connection: Connection, users: Sequence[UserDeleted]) -> None:
    """Erase name, address and cart, and leave a tombstone. Orders keep their snapshot: they are business records."""
    user_ids = [user.user_id for user in users]
    await connection.execute(
        """
        INSERT INTO customers (user_id, name, email, version, deleted)
        SELECT user_id, '', '', version, true
        FROM unnest($1::uuid[], $2::integer[]) AS gone (user_id, version)
        ORDER BY user_id
        ON CONFLICT (user_id) DO UPDATE
        SET name = '', email = '', version = excluded.version, deleted = true
        """,
        user_ids,
        [user.version for user in users],
    )
    await connection.execute("DELETE FROM cart_items WHERE user_id = ANY($1::uuid[])", user_ids)


# --- Carts


async def cart(connection: Connection, user_id: UUID) -> list[tuple[UUID, int]]:
    """Product ids and quantities, in the order in which they were put in."""
    rows = await connection.fetch(
        "SELECT product_id, quantity FROM cart_items WHERE user_id = $1 ORDER BY added_at, product_id", user_id
    )
    return [(row["product_id"], row["quantity"]) for row in rows]


async def put_in_cart(connection: Connection, user_id: UUID, product_id: UUID, quantity: int, *, most: int) -> bool:
    """Set the quantity of a product; False when the cart holds `most` other products already."""
    # One cart changes at a time, else two additions at once could both pass the count.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", str(user_id))
    others = await connection.fetchval(
        "SELECT count(*) FROM cart_items WHERE user_id = $1 AND product_id <> $2", user_id, product_id
    )
    if others >= most:
        return False
    await connection.execute(
        """
        INSERT INTO cart_items (user_id, product_id, quantity) VALUES ($1, $2, $3)
        ON CONFLICT (user_id, product_id) DO UPDATE SET quantity = excluded.quantity
        """,
        user_id,
        product_id,
        quantity,
    )
    return True


async def drop_from_cart(connection: Connection, user_id: UUID, product_id: UUID | None) -> None:
    """Take out one product, or everything."""
    await connection.execute(
        "DELETE FROM cart_items WHERE user_id = $1 AND ($2::uuid IS NULL OR product_id = $2)", user_id, product_id
    )
