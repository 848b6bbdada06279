"""Registration, the requests of administrators about accounts, and the lookup for services."""

from uuid import UUID

from litestar import Response, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from chassis.persistence.database import Database
from chassis.security.access import administrator, public, services
from chassis.security.client_source import source_of
from chassis.web.application import INTERNAL_BODY_BYTES_MAX
from chassis.web.idempotency import IdempotencyKey, accepted_key
from chassis.web.pages import Cursor, Limit, Page
from chassis.web.requests import CallerRequest, user_id_of
from users import read_accounts, register_account, set_roles
from users.http.schemas import FoundUser, FoundUsers, Lookup, NewRoles, Profile, Registered, Registration
from users.password_hasher import PasswordHasher


def routes(database: Database, hasher: PasswordHasher) -> list[HTTPRouteHandler]:
    @post("/users", guards=[public], operation_id="UsersRegisterAccount", summary="Register")
    async def register(
        request: CallerRequest, data: JSONBody[Registration], idempotency_key: IdempotencyKey = None
    ) -> Response[Registered]:
        registered = await register_account.register_account(
            database,
            hasher,
            email=data.email,
            name=data.name,
            password=data.password,
            source=source_of(request),
            idempotency_key=accepted_key(idempotency_key),
        )
        return Response(Registered.of(registered), headers={"location": f"/users/{registered.id}"})

    @get("/users", guards=[administrator], summary="List accounts, the newest first")
    async def list_accounts(limit: Limit = 20, cursor: Cursor = None) -> Page[Profile]:
        page = await read_accounts.read_accounts(database, cursor, limit)
        return page.map(Profile.of)

    @get("/users/{user_id:uuid}", guards=[administrator], summary="Read an account")
    async def read_account(user_id: FromPath[UUID]) -> Profile:
        return Profile.of(await read_accounts.read_account(database, user_id))

    @put("/users/{user_id:uuid}/roles", guards=[administrator], summary="Set the roles of an account")
    async def set_account_roles(request: CallerRequest, user_id: FromPath[UUID], data: JSONBody[NewRoles]) -> Profile:
        account = await set_roles.set_roles(database, user_id, data.roles, by=user_id_of(request))
        return Profile.of(account)

    @post(
        "/users/lookup",
        guards=[services("orders", "notifications")],
        request_max_body_size=INTERNAL_BODY_BYTES_MAX,
        status_code=200,
        summary="Look up names, addresses and preferences",
    )
    async def look_up_users(data: JSONBody[Lookup]) -> FoundUsers:
        accounts = await read_accounts.look_up_accounts(database, data.ids)
        return FoundUsers(items=[FoundUser.of(account) for account in accounts])

    return [register, list_accounts, read_account, set_account_roles, look_up_users]
