"""Requests of users about their own account. Answers carry an ETag; `If-Match` guards a change."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from chassis.persistence.database import Database
from chassis.security.access import signed_in
from chassis.web.entity_tags import ETAG, IfMatch, Precondition, entity_tag
from users import change_profile, delete_account, read_accounts, set_preferences
from users.domain import account as domain
from users.domain.account import Account
from users.http.schemas import NewPreferences, Preferences, Profile, ProfileChange


def routes(database: Database) -> list[HTTPRouteHandler]:
    @get("/users/me", guards=[signed_in], summary="Read your profile", response_headers=[ETAG])
    async def read_own_profile(request: Request[Any, Any, Any]) -> Response[Profile]:
        return _tagged_profile(await read_accounts.read_own_account(database, request.user.user_id))

    @patch("/users/me", guards=[signed_in], summary="Change your name or e-mail address", response_headers=[ETAG])
    async def change_own_profile(
        request: Request[Any, Any, Any], data: JSONBody[ProfileChange], if_match: IfMatch = None
    ) -> Response[Profile]:
        account = await change_profile.change_profile(
            database,
            request.user.user_id,
            email=None if data.email is msgspec.UNSET else data.email,
            name=None if data.name is msgspec.UNSET else data.name,
            precondition=Precondition.of(if_match),
        )
        return _tagged_profile(account)

    @delete("/users/me", guards=[signed_in], summary="Delete your account")
    async def delete_own_account(request: Request[Any, Any, Any]) -> None:
        await delete_account.delete_account(database, request.user.user_id)

    @get("/users/me/preferences", guards=[signed_in], summary="Read which mails you receive", response_headers=[ETAG])
    async def read_own_preferences(request: Request[Any, Any, Any]) -> Response[Preferences]:
        return _tagged_preferences(await read_accounts.read_own_account(database, request.user.user_id))

    @put("/users/me/preferences", guards=[signed_in], summary="Set which mails you receive", response_headers=[ETAG])
    async def set_own_preferences(
        request: Request[Any, Any, Any], data: JSONBody[NewPreferences], if_match: IfMatch = None
    ) -> Response[Preferences]:
        account = await set_preferences.set_preferences(
            database,
            request.user.user_id,
            domain.Preferences(order_emails=data.order_emails, payment_emails=data.payment_emails),
            precondition=Precondition.of(if_match),
        )
        return _tagged_preferences(account)

    return [read_own_profile, change_own_profile, delete_own_account, read_own_preferences, set_own_preferences]


def _tagged_profile(account: Account) -> Response[Profile]:
    return Response(Profile.of(account), headers={"etag": entity_tag(account.version)})


def _tagged_preferences(account: Account) -> Response[Preferences]:
    return Response(Preferences.of(account), headers={"etag": entity_tag(account.version)})
