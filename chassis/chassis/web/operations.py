"""What operators mend by hand, the same in every service: a dead letter is redriven, the journal is said again.

Guarantee: an act and the event that tells of it, `operator.acted` with who and why, are one transaction; audit records
it. The gateway has no route to these operations: an administrator calls a service at the service's own address.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.messaging import inbox, journal
from chassis.messaging.consumer import Consumer
from chassis.messaging.inbox import DeadLetter
from chassis.messaging.journal import Event
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database
from chassis.problems import Conflict, NotFound, OutcomeUnknown, Unavailable
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.values import visible_text
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of
from chassis.web.requests import CallerRequest

TAGS = ["operations"]
WHY_CHARACTERS_MAX = 500
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=WHY_CHARACTERS_MAX, examples=["The mail server is back."])]
Tell = Callable[[Connection, Event], Awaitable[None]]
"""Writes an event in the transaction of the connection."""
_log = structlog.get_logger()


class NoSuchDeadLetter(NotFound):
    code, title = "dead_letter_not_found", "There is no such dead letter."


class RedriveFailed(Conflict):
    code, title = "redrive_failed", "The event failed again, and stays a dead letter."


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an operator acts, for those who read the record later."""

    reason: Why


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say everything again that was said at `since` or later."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    reason: Why


class Replayed(msgspec.Struct, frozen=True):
    """About so many events will be published again, in their order. They are not counted: there may be millions."""

    events: int


class OperatorActed(msgspec.Struct, frozen=True):
    """The data of `operator.acted`. `subject` is what was acted upon: an id, or for a replay its time."""

    act: str
    subject: str
    who: UUID
    why: str


def operator_acted(act: str, subject: str, caller: Caller, why: str, *, correlation_id: str | None = None) -> Event:
    """The event for an act of `caller`. With the correlation id of what was mended, it is found beside it.

    Raises `InvalidText` for a `why` that is no visible line.
    """
    assert caller.user_id is not None, "operators are people"
    why = visible_text.line(why, member="reason", characters_max=WHY_CHARACTERS_MAX)
    event = Event(
        type="operator.acted", subject=str(caller.user_id), data=OperatorActed(act, subject, caller.user_id, why)
    )
    return event if correlation_id is None else msgspec.structs.replace(event, correlation_id=correlation_id)


async def tell_once(connection: Connection, event: Event) -> None:
    """Into the journal; once, though the transaction be run again since the answer to its commit was lost."""
    if not await journal.holds(connection, event.id):
        await journal.append(connection, [event])


def routes(
    database: Database, *, relay: Relay | None = None, consumer: Consumer | None = None, tell: Tell = tell_once
) -> list[HTTPRouteHandler]:
    """The operations of a service that publishes by `relay` and listens by `consumer`, as far as it does."""
    return [
        *(_of_dead_letters(database, consumer, tell) if consumer is not None else ()),
        *(_of_journal(database, relay, tell) if relay is not None else ()),
    ]


def _of_dead_letters(database: Database, consumer: Consumer, tell: Tell) -> list[HTTPRouteHandler]:
    @get("/dead-letters", guards=[access.operator], tags=TAGS, summary="Events that failed for good, and why")
    async def list_dead_letters(limit: Limit = 20, cursor: Cursor = None) -> Page[DeadLetter]:
        after = key_of(cursor, UUID)
        letters = await database.read(lambda connection: inbox.read_dead_letters(connection, after, limit + 1))
        return page_of(letters, limit, lambda letter: letter.event_id)

    @post(
        "/dead-letters/{event_id:uuid}/redrive",
        guards=[access.operator],
        status_code=204,
        tags=TAGS,
        summary="Give an event its effect after all",
    )
    async def redrive(request: CallerRequest, event_id: FromPath[UUID], data: JSONBody[Reason]) -> None:
        act = operator_acted("redrive dead letter", str(event_id), request.user, data.reason)
        try:
            was_there = await consumer.redrive(event_id, lambda connection: tell(connection, act))
        except (Unavailable, OutcomeUnknown):
            raise
        except Exception as error:
            _log.warning("a dead letter failed again", event_id=str(event_id), exc_info=error)
            raise RedriveFailed(f"{type(error).__name__}: {error}") from error
        if not was_there:
            raise NoSuchDeadLetter

    return [list_dead_letters, redrive]


def _of_journal(database: Database, relay: Relay, tell: Tell) -> list[HTTPRouteHandler]:
    @post("/journal/replay", guards=[access.operator], status_code=200, tags=TAGS, summary="Publish events again")
    async def replay(request: CallerRequest, data: JSONBody[Replay]) -> Replayed:
        act = operator_acted("replay journal", data.since.isoformat(), request.user, data.reason)

        async def work(connection: Connection) -> int:
            events = await relay.rewind(connection, data.since)
            await tell(connection, act)
            return events

        return Replayed(await database.run(work))

    return [replay]
