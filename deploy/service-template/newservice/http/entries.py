"""The routes to entries."""

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.security import access
from chassis.values import visible_text
from chassis.web.requests import CallerRequest, user_id_of
from newservice.create_entry import create_entry
from newservice.http.schemas import CreatedEntry, CreateEntry


def routes(database: Database) -> list[HTTPRouteHandler]:
    @post("/newservice/entries", guards=[access.signed_in], summary="Create an entry")
    async def post_entry(data: JSONBody[CreateEntry], request: CallerRequest) -> CreatedEntry:
        text = visible_text.line(data.text, member="text", characters_max=1_000)
        entry = await create_entry(database, user_id_of(request), text)
        return CreatedEntry(entry.id, entry.text)

    return [post_entry]
