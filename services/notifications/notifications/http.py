"""What people may ask of notifications: the messages to themselves; administrators, those of an order, and to send."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.params import FromQuery, JSONBody
from litestar.status_codes import HTTP_202_ACCEPTED
from litestar.types import ControllerRouterHandler

from chassis.persistence.database import Database
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page, cursor_of, key_of
from notifications import store_notifications
from notifications.messages import EmailAccepted, EmailRequest, MessageToMe
from notifications.notification import Notification
from notifications.request_email import request_email


def routes(database: Database, after_commit: Callable[[], None]) -> list[ControllerRouterHandler]:
    @get(
        "/notifications",
        guards=[access.signed_in],
        summary="The messages to oneself, newest first",
        description="With `order_id`, an administrator gets the messages about that order, whoever bought.",
    )
    async def list_messages(
        request: Request[Caller, Any, Any],
        order_id: FromQuery[UUID | None] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[MessageToMe]:
        of_any_buyer = request.user.is_administrator and order_id is not None
        user_id = None if of_any_buyer else _person(request)
        before = key_of(cursor, UUID)
        found = await database.read(
            lambda connection: store_notifications.read_page(
                connection, user_id=user_id, order_id=order_id, before=before, limit=limit + 1
            )
        )
        page = found[:limit]
        return Page([_to_me(message) for message in page], cursor_of(page[-1].id) if found[limit:] else None)

    @post(
        "/send",
        guards=[access.administrator],
        status_code=HTTP_202_ACCEPTED,
        summary="Have a mail sent",
        description="The mail is sent within moments, and tried again for a day and a half while it cannot be.",
    )
    async def send(
        data: JSONBody[EmailRequest], request: Request[Caller, Any, Any], idempotency_key: IdempotencyKey = None
    ) -> EmailAccepted:
        message_id = await request_email(
            database, data, requested_by=_person(request), idempotency_key=accepted_key(idempotency_key)
        )
        after_commit()
        return EmailAccepted(message_id)

    return [list_messages, send]


def _person(request: Request[Caller, Any, Any]) -> UUID:
    assert request.user.user_id is not None, "the guard lets only people in"
    return request.user.user_id


def _to_me(message: Notification) -> MessageToMe:
    assert message.created_at is not None, "it was read from the table"
    return MessageToMe(
        id=message.id,
        kind=message.kind,
        order_id=message.order_id,
        toaddr=message.toaddr,
        subject=message.subject,
        status=message.state,
        created_at=message.created_at,
        sent_at=message.sent_at,
    )
