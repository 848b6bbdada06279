"""The feed of revoked access tokens, which every other service polls."""

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from chassis.persistence.database import Database
from chassis.security.access import any_service
from chassis.security.revocations import PATH, Revocations
from users.read_revocations import read_revocations

After = Annotated[
    str | None,
    QueryParameter(
        name="after",
        pattern=r"^\d{1,20}:\d{1,20}:[\d,]*$",
        max_length=20_000,
        description="`cursor` of the previous answer. Without it: all revocations whose tokens may not have expired.",
    ),
]


def routes(database: Database, *, token_lifetime_s: int) -> list[HTTPRouteHandler]:
    @get(PATH, guards=[any_service], summary="Which access tokens are revoked")
    async def show_revocations(after: After = None) -> Revocations:
        return await read_revocations(database, after=after, token_lifetime_s=token_lifetime_s)

    return [show_revocations]
