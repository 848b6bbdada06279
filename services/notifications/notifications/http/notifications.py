"""The routes to one's own messages, and for administrators to those of an order and to send a mail."""

from uuid import UUID

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery, JSONBody
from litestar.status_codes import HTTP_202_ACCEPTED

from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest, user_id_of
from notifications.http.schemas import EmailAccepted, EmailRequest, OwnMessage
from notifications.request_email import Email, request_email
from notifications.store import notifications


def routes(database: Database) -> list[HTTPRouteHandler]:
    @get(
        "/notifications",
        guards=[access.signed_in],
        summary="The messages to oneself, newest first",
        description="With `order_id`, an administrator gets the messages about that order, whoever bought.",
    )
    async def list_messages(
        request: CallerRequest,
        order_id: FromQuery[UUID | None] = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Page[OwnMessage]:
        is_of_any_buyer = request.user.is_administrator and order_id is not None
        user_id = None if is_of_any_buyer else user_id_of(request)
        before = key_of(cursor, UUID)
        found = await database.read(
            lambda connection: notifications.read_page(
                connection, user_id=user_id, order_id=order_id, before=before, limit=limit + 1
            )
        )
        return page_of(found, limit, lambda notification: notification.id).map(OwnMessage.of)

    @post(
        "/send",
        guards=[access.administrator],
        status_code=HTTP_202_ACCEPTED,
        summary="Have a mail sent",
        description="The mail is sent within moments, and tried again for a day and a half while it cannot be.",
    )
    async def send(
        data: JSONBody[EmailRequest], request: CallerRequest, idempotency_key: IdempotencyKey = None
    ) -> EmailAccepted:
        email = Email(toaddr=data.toaddr, subject=data.subject, body=data.body)
        message_id = await request_email(
            database, email, requested_by=user_id_of(request), idempotency_key=accepted_key(idempotency_key)
        )
        return EmailAccepted(message_id)

    return [list_messages, send]
