"""What has to hold of the simulated shop: after every step, and when it has become quiet."""

from itertools import pairwise
from uuid import UUID

from services.orders.tests.checkout_simulation import Client, Told, World

from chassis.problems import KeyInProgress, OutcomeUnknown, Refusal, Unavailable
from orders.domain.order import Order, Status
from orders.errors import (
    AccountDeleted,
    CartAlreadyBought,
    NothingToBuy,
    OrderAlreadyShipped,
    OrderNotConfirmed,
    OrderRefused,
)

NEXT = {
    Status.PENDING: {Status.CANCELLING, Status.CONFIRMED, Status.REFUSED, Status.CANCELLED},
    Status.CANCELLING: {Status.REFUSED, Status.CANCELLED},
    Status.CONFIRMED: {Status.SHIPPED, Status.CANCELLED},
}
CAME_TO_NOTHING = {Status.REFUSED, Status.CANCELLED}
KEPT = {Status.CONFIRMED, Status.SHIPPED}


def check_always(world: World) -> None:
    stock_is_conserved(world)
    a_cart_is_bought_at_most_once(world)
    nothing_is_confirmed_for_a_deleted_account(world)
    for order in world.table.rows.values():
        goes_a_legal_way(world, order)
        has_its_events_once(world, order)
        holds_what_it_should(world, order)
    for client in world.clients:
        who_gets_no_mail_was_told(world, client)
        for told in client.told:
            what_was_told_is_true(world, client, told)


def check_when_quiet(world: World) -> None:
    assert not world.on_their_way(), "every order ends"
    check_always(world)
    for order in world.table.rows.values():
        holds = world.has_stock(order), world.has_money(order)
        assert holds == ((True, True) if order.status in KEPT else (False, False)), (
            f"in the end a {order.status} order holds {holds}"
        )
    what_is_not_bought_is_in_the_cart(world)
    live = {str(order.id) for order in world.table.rows.values() if order.status in KEPT}
    assert world.payments.captured - world.payments.refunded == live
    assert world.catalog.sold == live
    assert not world.catalog.anomalies + world.payments.anomalies


def stock_is_conserved(world: World) -> None:
    available, held = world.catalog.stock[world.product], world.catalog.held(world.product)
    assert available >= 0
    assert world.put_in == available + held


def buyers_of(world: World, filling: int) -> list[Order]:
    """The orders that hold it: all that took it, but for those that ended before they were confirmed."""
    return [
        order
        for order in world.table.rows.values()
        if order.from_cart
        and order.lines[0].quantity == filling
        and not (order.status in CAME_TO_NOTHING and order.confirmed_at is None)
    ]


def a_cart_is_bought_at_most_once(world: World) -> None:
    for filling in range(1, world.fillings + 1):
        holders = len(buyers_of(world, filling)) + (filling in world.in_cart())
        assert holders <= 1, f"a cart was bought {holders} times, or is there though it was bought"
    assert not world.in_cart() & world.dropped, "the customer took it out, and it is there again"


def what_is_not_bought_is_in_the_cart(world: World) -> None:
    """Of the last filling, after which the customer has changed nothing."""
    last = world.fillings
    if not last or world.was_emptied_since or world.confirmed_before_deletion is not None:
        return
    assert buyers_of(world, last) or last in world.in_cart(), "what was in the cart is neither there nor bought"


def nothing_is_confirmed_for_a_deleted_account(world: World) -> None:
    if world.confirmed_before_deletion is None:
        return
    assert not world.in_cart(), "the cart of a deleted account is empty"
    for order in world.table.rows.values():
        is_confirmed = Status.CONFIRMED in world.table.states[order.id]
        assert not is_confirmed or order.id in world.confirmed_before_deletion, "confirmed for a deleted account"


def goes_a_legal_way(world: World, order: Order) -> None:
    way = world.table.states[order.id]
    for before, after in pairwise(way):
        assert after in NEXT[before], f"an order went from {before} to {after}"


def has_its_events_once(world: World, order: Order) -> None:
    types = [said.type for said in world.table.journal if said.order_id == order.id]
    expected = ["order.placed"]
    way = world.table.states[order.id]
    expected += ["order.confirmed"] if Status.CONFIRMED in way else []
    expected += ["order.shipped"] if order.status is Status.SHIPPED else []
    expected += ["order.cancelled"] if order.status in CAME_TO_NOTHING else []
    assert types == expected, f"each change is said once: {way}, {types}"


def holds_what_it_should(world: World, order: Order) -> None:
    id_ = str(order.id)
    if order.status in KEPT:
        assert world.has_stock(order), "a confirmed order has its stock"
        assert world.has_money(order), "a confirmed order is paid"
        assert order.total_minor is not None
        assert world.payments.amounts[id_] == f"{order.total_minor // 100}.{order.total_minor % 100:02}"
    is_first_asking = order.attempts == 0 and order.id not in world.table.deferred
    by_event_alone = world.catalog.cancelled | world.payments.cancelled | world.captured_by_hand
    if (id_ in world.changed_minds and is_first_asking) or id_ in by_event_alone:
        # Only the event order.cancelled undoes what a peer does after it had said no, and what was taken by hand; and
        # each peer hears it alone.
        return
    if order.status in CAME_TO_NOTHING and order.confirmed_at is None:
        assert not world.has_stock(order), f"an order that is {order.status} holds stock"
        assert not world.has_money(order), f"an order that is {order.status} holds money"
    if world.has_money(order):
        assert world.has_stock(order), "nobody pays for what was given away"


def what_was_told_is_true(world: World, client: Client, told: Told) -> None:
    if isinstance(told.refusal, Unavailable | OutcomeUnknown | KeyInProgress):
        return
    assert told.refusal is None or isinstance(told.refusal, Refusal), repr(told.refusal)
    if isinstance(told.refusal, CartAlreadyBought):
        assert not world.is_placed(client), "a purchase was told that another has bought the cart, and has an order"
        assert UUID(told.refusal.extras["order_id"]) in world.table.rows
        return
    if isinstance(told.refusal, NothingToBuy | AccountDeleted) and "order_id" not in told.refusal.extras:
        return  # It is about the cart or the account of that moment, and not about an order.
    assert world.is_placed(client), f"told {told.refusal!r}, and has no order"
    order = world.order_of(client)
    way = world.table.states[order.id]
    match told.act:
        case _ if told.order is not None:
            assert told.order.status in way, f"an order was told {told.order.status}, and never was"
            if told.order.status is Status.CONFIRMED and order.status is Status.CANCELLED:
                assert client.asked_to_cancel
            if told.order.status in {Status.SHIPPED, Status.CANCELLED, Status.REFUSED}:
                assert order.status is told.order.status
            if told.order.status is Status.CANCELLING:
                assert Status.CONFIRMED not in way
        case "buy":
            assert order.status in CAME_TO_NOTHING
            assert Status.CONFIRMED not in way
        case "cancel":
            expected = {OrderAlreadyShipped: Status.SHIPPED, OrderRefused: Status.REFUSED}
            assert order.status is expected[type(told.refusal)]  # type: ignore[index]
        case "ship":
            assert isinstance(told.refusal, OrderNotConfirmed)


def who_gets_no_mail_was_told(world: World, client: Client) -> None:
    """`told` keeps notifications from writing to a buyer: then a purchase must have had that very answer, or none."""
    if world.is_placed(client) and any(
        said.told for said in world.table.journal if said.order_id == world.order_of(client).id
    ):
        was_deferred = [told.act == "buy" and told.order is not None for told in client.told]
        assert sum(was_deferred) < client.purchases, "the customer got a 202, and gets no notification of the end"
