"""The routes to entries."""

from typing import Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.security import access
from chassis.security.tokens import Caller
from chassis.values import visible_text
from newservice.create_entry import create_entry
from newservice.http.schemas import CreatedEntry, CreateEntry


def routes(database: Database) -> list[HTTPRouteHandler]:
    @post("/newservice/entries", guards=[access.signed_in], summary="Create an entry")
    async def post_entry(data: JSONBody[CreateEntry], request: Request[Caller, Any, Any]) -> CreatedEntry:
        assert request.user.user_id is not None, "the guard refuses services"
        text = visible_text.line(data.text, member="text", characters_max=1_000)
        entry = await create_entry(database, request.user.user_id, text)
        return CreatedEntry(entry.id, entry.text)

    return [post_entry]
