"""The carts in memory: for the simulation, in place of `orders.store.carts`, whose functions it has by name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from orders.domain.order import Line, Order

if TYPE_CHECKING:
    from services.orders.tests.simulated_store import Table


async def contents(table: "Table", user_ids: Sequence[UUID]) -> dict[UUID, tuple[Line, ...]]:
    return {
        user_id: tuple(Line(product_id, quantity) for product_id, quantity in table.cart_items[user_id].items())
        for user_id in user_ids
        if table.cart_items.get(user_id)
    }


async def begin_change(table: "Table", user_ids: Sequence[UUID]) -> None:
    for user_id in set(user_ids):
        table.cart_versions[user_id] = table.cart_versions.get(user_id, 0) + 1


async def put(table: "Table", user_id: UUID, line: Line, *, lines_max: int) -> bool:
    items = table.cart_items.setdefault(user_id, {})
    if len(items.keys() - {line.product_id}) >= lines_max:
        return False
    items[line.product_id] = line.quantity
    return True


async def remove(table: "Table", user_ids: Sequence[UUID], product_id: UUID | None = None) -> None:
    for user_id in user_ids:
        items = table.cart_items.get(user_id, {})
        for dropped in list(items) if product_id is None else [product_id]:
            items.pop(dropped, None)


async def lock(table: "Table", user_ids: Sequence[UUID]) -> None:
    for user_id in user_ids:
        table.cart_versions.setdefault(user_id, 1)


async def take(table: "Table", orders: Sequence[Order]) -> None:
    for order in orders:
        version = order.customer.id, table.cart_versions[order.customer.id]
        assert version not in table.cart_purchases, "one_order_per_cart"
        table.cart_purchases[version] = order.id
        for line in order.lines:
            table.cart_items[order.customer.id].pop(line.product_id, None)


async def bought_by(table: "Table", user_id: UUID) -> UUID | None:
    return table.cart_purchases.get((user_id, table.cart_versions.get(user_id, 0)))


async def restore_items(table: "Table", orders: Sequence[Order]) -> None:
    for order in orders:
        if order.from_cart and await bought_by(table, order.customer.id) == order.id:
            table.cart_versions[order.customer.id] += 1
            items = table.cart_items.setdefault(order.customer.id, {})
            for line in order.lines:
                items.setdefault(line.product_id, line.quantity)


async def keep_refusal(table: "Table", user_id: UUID, key: str, fingerprint: bytes, order_id: UUID) -> None:
    table.cart_refusals.setdefault((user_id, key), (fingerprint, order_id))


async def refusals(table: "Table", keys: Sequence[tuple[UUID, str]]) -> Mapping[tuple[UUID, str], tuple[bytes, UUID]]:
    return {key: table.cart_refusals[key] for key in keys if key in table.cart_refusals}
