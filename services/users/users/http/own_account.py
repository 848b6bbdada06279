"""Requests of users about their own account. Answers carry an ETag; `If-Match` guards a change."""

import msgspec
from litestar import Response, delete, get, patch, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.security.access import signed_in
from chassis.web.entity_tags import ETAG, IfMatch, Precondition, entity_tag
from chassis.web.requests import CallerRequest, user_id_of
from users import change_profile, delete_account, read_accounts, set_preferences
from users.domain import account as domain
from users.domain.account import Account
from users.http.schemas import NewPreferences, Preferences, Profile, ProfileChange


def routes(database: Database) -> list[HTTPRouteHandler]:
    @get("/users/me", guards=[signed_in], summary="Read your profile", response_headers=[ETAG])
    async def read_own_profile(request: CallerRequest) -> Response[Profile]:
        return _tagged_profile(await read_accounts.read_own_account(database, user_id_of(request)))

    @patch("/users/me", guards=[signed_in], summary="Change your name or e-mail address", response_headers=[ETAG])
    async def change_own_profile(
        request: CallerRequest, data: JSONBody[ProfileChange], if_match: IfMatch = None
    ) -> Response[Profile]:
        account = await change_profile.change_profile(
            database,
            user_id_of(request),
            email=None if data.email is msgspec.UNSET else data.email,
            name=None if data.name is msgspec.UNSET else data.name,
            precondition=Precondition.of(if_match),
        )
        return _tagged_profile(account)

    @delete("/users/me", guards=[signed_in], summary="Delete your account")
    async def delete_own_account(request: CallerRequest) -> None:
        await delete_account.delete_account(database, user_id_of(request))

    @get("/users/me/preferences", guards=[signed_in], summary="Read which mails you receive", response_headers=[ETAG])
    async def read_own_preferences(request: CallerRequest) -> Response[Preferences]:
        return _tagged_preferences(await read_accounts.read_own_account(database, user_id_of(request)))

    @put("/users/me/preferences", guards=[signed_in], summary="Set which mails you receive", response_headers=[ETAG])
    async def set_own_preferences(
        request: CallerRequest, data: JSONBody[NewPreferences], if_match: IfMatch = None
    ) -> Response[Preferences]:
        account = await set_preferences.set_preferences(
            database,
            user_id_of(request),
            domain.Preferences(order_emails=data.order_emails, payment_emails=data.payment_emails),
            precondition=Precondition.of(if_match),
        )
        return _tagged_preferences(account)

    return [read_own_profile, change_own_profile, delete_own_account, read_own_preferences, set_own_preferences]


def _tagged_profile(account: Account) -> Response[Profile]:
    return Response(Profile.of(account), headers={"etag": entity_tag(account.version)})


def _tagged_preferences(account: Account) -> Response[Preferences]:
    return Response(Preferences.of(account), headers={"etag": entity_tag(account.version)})
