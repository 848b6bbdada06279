"""HTTP for accounts: what people do with their own, what administrators do with all, what services may ask."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.messaging.relay import Relay
from chassis.persistence.database import Database
from chassis.security.access import administrator, public, services, signed_in
from chassis.security.client_source import source_of
from chassis.web.application import INTERNAL_BODY_BYTES_MAX
from chassis.web.entity_tags import ETAG, IfMatch, Precondition, entity_tag
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page
from users.change_account import change_profile, set_preferences, set_roles
from users.delete_account import delete_account
from users.domain.account import Account, Preferences
from users.http.schemas import (
    FoundUsers,
    Lookup,
    NewPreferences,
    NewRoles,
    Profile,
    ProfileChange,
    Registered,
    Registration,
    found,
    profile_of,
)
from users.password_hashing.hasher import Passwords
from users.read_accounts import look_up, read_one, read_own, read_page
from users.register_account import register


@post("/users", guards=[public], summary="Register")
async def register_account(
    request: Request[Any, Any, Any],
    data: JSONBody[Registration],
    database: NamedDependency[Database],
    passwords: NamedDependency[Passwords],
    relay: NamedDependency[Relay],
    idempotency_key: IdempotencyKey = None,
) -> Response[Registered]:
    registered = await register(
        database, passwords, data, source=source_of(request), idempotency_key=accepted_key(idempotency_key)
    )
    relay.wake()
    return Response(registered, headers={"location": f"/users/{registered.id}"})


@get("/users/me", guards=[signed_in], summary="Read the own profile", response_headers=[ETAG])
async def read_own_profile(request: Request[Any, Any, Any], database: NamedDependency[Database]) -> Response[Profile]:
    return _tagged_profile(await read_own(database, request.user.user_id))


@patch("/users/me", guards=[signed_in], summary="Change the own name or e-mail address", response_headers=[ETAG])
async def change_own_profile(
    request: Request[Any, Any, Any],
    data: JSONBody[ProfileChange],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    if_match: IfMatch = None,
) -> Response[Profile]:
    account = await change_profile(database, request.user.user_id, data, Precondition.of(if_match))
    relay.wake()
    return _tagged_profile(account)


@delete("/users/me", guards=[signed_in], summary="Delete the own account")
async def delete_own_account(
    request: Request[Any, Any, Any], database: NamedDependency[Database], relay: NamedDependency[Relay]
) -> None:
    await delete_account(database, request.user.user_id)
    relay.wake()


@get("/users/me/preferences", guards=[signed_in], summary="Read which mails one gets", response_headers=[ETAG])
async def read_own_preferences(
    request: Request[Any, Any, Any], database: NamedDependency[Database]
) -> Response[Preferences]:
    return _tagged_preferences(await read_own(database, request.user.user_id))


@put("/users/me/preferences", guards=[signed_in], summary="Set which mails one gets", response_headers=[ETAG])
async def set_own_preferences(
    request: Request[Any, Any, Any],
    data: JSONBody[NewPreferences],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
    if_match: IfMatch = None,
) -> Response[Preferences]:
    preferences = Preferences(order_emails=data.order_emails, payment_emails=data.payment_emails)
    account = await set_preferences(database, request.user.user_id, preferences, Precondition.of(if_match))
    relay.wake()
    return _tagged_preferences(account)


@get("/users", guards=[administrator], summary="List accounts, the newest first")
async def list_accounts(database: NamedDependency[Database], limit: Limit = 20, cursor: Cursor = None) -> Page[Profile]:
    page = await read_page(database, cursor, limit)
    return Page(items=[profile_of(account) for account in page.items], next_cursor=page.next_cursor)


@get("/users/{user_id:uuid}", guards=[administrator], summary="Read an account")
async def read_account(user_id: FromPath[UUID], database: NamedDependency[Database]) -> Profile:
    return profile_of(await read_one(database, user_id))


@put("/users/{user_id:uuid}/roles", guards=[administrator], summary="Set the roles of an account")
async def set_account_roles(
    request: Request[Any, Any, Any],
    user_id: FromPath[UUID],
    data: JSONBody[NewRoles],
    database: NamedDependency[Database],
    relay: NamedDependency[Relay],
) -> Profile:
    account = await set_roles(database, user_id, data.roles, by=request.user.user_id)
    relay.wake()
    return profile_of(account)


@post(
    "/users/lookup",
    guards=[services("orders", "notifications")],
    request_max_body_size=INTERNAL_BODY_BYTES_MAX,
    status_code=200,
    summary="Look up names, addresses and preferences",
)
async def look_up_users(data: JSONBody[Lookup], database: NamedDependency[Database]) -> FoundUsers:
    return FoundUsers(items=[found(account) for account in await look_up(database, data.ids)])


ROUTES: list[HTTPRouteHandler] = [
    register_account,
    read_own_profile,
    change_own_profile,
    delete_own_account,
    read_own_preferences,
    set_own_preferences,
    list_accounts,
    read_account,
    set_account_roles,
    look_up_users,
]


def _tagged_profile(account: Account) -> Response[Profile]:
    return Response(profile_of(account), headers={"etag": entity_tag(account.version)})


def _tagged_preferences(account: Account) -> Response[Preferences]:
    return Response(account.preferences, headers={"etag": entity_tag(account.version)})
