"""The routes of orders, for customers and administrators."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from chassis.actor import without_operator_id
from chassis.messaging import journal
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest, user_id_of
from orders import store
from orders.cancel_order import cancel_order
from orders.checkout import CheckoutRunner
from orders.domain.order import Order, Status
from orders.errors import OrderNotFound
from orders.http.schemas import OrderView, PlaceOrder, Timeline, TimelineEntry, new_order, view_of
from orders.order_batcher import OrderBatcher
from orders.order_streams import Changes, OrderStreams
from orders.place_order import place_order
from orders.ship_order import ship_order
from orders.waiters import Waiters

ShownStatus = Literal["pending", "cancelling", "confirmed", "shipped", "cancelled", "refused"]
Prefer = Annotated[
    str | None,
    HeaderParameter(name="prefer", description="`respond-async`: answer 202 at once (RFC 7240)."),
]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="last-event-id", required=False, description="The id of the last event that the client has got."
    ),
]


def routes(
    database: Database,
    batcher: OrderBatcher,
    runner: CheckoutRunner,
    purchases: Waiters,
    cancellations: Waiters,
    streams: OrderStreams,
    *,
    lease_s: float,
) -> list[HTTPRouteHandler]:
    @post("/orders", guards=[access.signed_in], summary="Place an order")
    async def place(
        request: CallerRequest,
        data: JSONBody[PlaceOrder],
        idempotency_key: IdempotencyKey = None,
        prefer: Prefer = None,
    ) -> Response[OrderView]:
        """Buy. 201 when confirmed; 202 with its Location while it is still pending; else the reason why not."""
        answer_later = "respond-async" in [part.strip().lower() for part in (prefer or "").split(",")]
        new = new_order(data, user_id_of(request), accepted_key(idempotency_key), answer_later=answer_later)
        order = await place_order(database, batcher, runner, purchases, new)
        headers = {"location": f"/api/orders/{order.id}"}
        if order.answer_later or order.confirmed_at is None:
            return Response(view_of(order), status_code=202, headers=headers)
        return Response(view_of(order, Status.CONFIRMED), status_code=201, headers=headers)

    @post("/orders/{order_id:uuid}/cancel", guards=[access.signed_in], status_code=200, summary="Cancel an order")
    async def cancel(request: CallerRequest, order_id: FromPath[UUID]) -> Response[OrderView]:
        """Cancel. 202 while what was taken is still being given back."""
        order = await cancel_order(database, runner, cancellations, user_id_of(request), order_id, lease_s=lease_s)
        return Response(view_of(order), status_code=202 if order.status is Status.CANCELLING else 200)

    @post(
        "/orders/{order_id:uuid}/ship",
        guards=[access.administrator],
        status_code=200,
        summary="Mark an order as shipped",
    )
    async def ship(order_id: FromPath[UUID]) -> OrderView:
        """Mark as shipped."""
        return view_of(await ship_order(database, order_id))

    @get("/orders/{order_id:uuid}/stream", guards=[access.signed_in], summary="Stream an order")
    async def stream(
        request: CallerRequest, order_id: FromPath[UUID], last_event_id: LastEventId = None
    ) -> ServerSentEvent | Response[None]:
        """The order as server-sent events: as it stands, and after each of its events. The id is the event's.

        With a `Last-Event-ID` all that followed it; 204 when nothing followed the last event of all, so that a browser
        does not come back.
        """
        await _visible_order(request, order_id, database)
        changes = await streams.open(order_id, request.user, last_event_id)
        if changes is None:
            return Response(None, status_code=204)
        return ServerSentEvent(_messages(changes))

    return [place, cancel, ship, stream, *_read_routes(database)]


def _read_routes(database: Database) -> list[HTTPRouteHandler]:
    @get("/orders", guards=[access.signed_in], summary="List orders, the newest first")
    async def list_orders(
        request: CallerRequest,
        limit: Limit = 20,
        cursor: Cursor = None,
        status: FromQuery[ShownStatus | None] = None,
    ) -> Page[OrderView]:
        """The caller's orders, newest first. Refused ones are listed only when asked for by status."""
        before = key_of(cursor, UUID)
        orders = await database.read(
            lambda connection: store.orders.history(connection, user_id_of(request), before, status, limit + 1)
        )
        page = page_of(orders, limit, lambda order: order.id)
        refunded = await database.read(
            lambda connection: store.payment_events.refunded(connection, [order.id for order in page.items])
        )
        return page.map(lambda order: view_of(order, refunded=refunded.get(order.id)))

    @get("/orders/{order_id:uuid}", guards=[access.signed_in], summary="Read an order")
    async def read_order(request: CallerRequest, order_id: FromPath[UUID]) -> OrderView:
        """One order, with what was refunded."""
        order = await _visible_order(request, order_id, database)
        refunded = await database.read(lambda connection: store.payment_events.refunded(connection, [order_id]))
        return view_of(order, refunded=refunded.get(order_id))

    @get("/orders/{order_id:uuid}/timeline", guards=[access.signed_in], summary="Read the timeline of an order")
    async def read_timeline(request: CallerRequest, order_id: FromPath[UUID]) -> Timeline:
        """What happened to the order and to its payment, oldest first."""
        await _visible_order(request, order_id, database)
        of_order = await database.read(lambda connection: journal.history_of(connection, str(order_id)))
        of_payment = await database.read(lambda connection: store.payment_events.history(connection, order_id))
        events: list[journal.Entry | store.payment_events.Entry] = [*of_order, *of_payment]
        entries = [
            TimelineEntry(
                event.time,
                event.type,
                event.actor if request.user.is_administrator else without_operator_id(event.actor),
                msgspec.json.decode(event.data, type=dict[str, Any]),
            )
            for event in events
        ]
        return Timeline(sorted(entries, key=lambda entry: entry.at))

    return [list_orders, read_order, read_timeline]


async def _messages(changes: Changes) -> AsyncIterator[ServerSentEventMessage]:
    async with aclosing(changes):
        async for change in changes:
            if change is None:
                yield ServerSentEventMessage(comment="nothing new")
                continue
            data = msgspec.json.encode(view_of(change.order, change.status)).decode()
            yield ServerSentEventMessage(event="order", id=str(change.position), data=data)


async def _visible_order(request: CallerRequest, order_id: UUID, database: Database) -> Order:
    """The order, if the caller bought it or is an administrator. Any other order is not found."""
    order = await database.read(lambda connection: store.orders.by_id(connection, order_id))
    if order is None or (order.customer.id != request.user.user_id and not request.user.is_administrator):
        raise OrderNotFound
    return order
