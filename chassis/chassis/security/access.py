"""Who may call what. Every route names one of these guards, or says `public`; a route that names none is closed.

A service checks the token itself, whatever the gateway has checked before: a header alone proves nothing.

A guard that lets a caller in makes that caller the actor of the request (`chassis.actor`), and so of its events.
"""

from collections.abc import Sequence
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Guard, Receive, Scope, Send

from chassis import actor, context
from chassis.problems import Forbidden, Unauthenticated, Unavailable
from chassis.security.tokens import ANONYMOUS, Caller, TokenVerifier

Connection = ASGIConnection[Any, Any, Any, Any]


class Authentication(ASGIMiddleware):
    """Puts the `Caller` of a request into its scope as the user; a bad token is told where a caller is needed."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope["user"] = ANONYMOUS
        scope["auth"] = None
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if given:
            try:
                scope["user"] = await self._verifier.verify(_bearer(given))
            except Unauthenticated as refusal:
                # There was a token: a client that has a refresh token uses it now.
                refusal.challenge = 'Bearer error="invalid_token"'
                scope["auth"] = refusal
            except Unavailable as refusal:
                scope["auth"] = refusal
        await next_app(scope, receive, send)


async def public(connection: Connection, _: BaseRouteHandler) -> None:
    """Every caller. A token that is given must be valid, so that no user becomes anonymous without noticing."""
    if connection.scope["auth"] is not None:
        raise connection.scope["auth"]
    user_id = connection.scope["user"].user_id
    if user_id is not None:
        context.act_as(actor.user(user_id))


async def anyone(_connection: Connection, _: BaseRouteHandler) -> None:
    """Anybody, with whatever token: for health, keys and metrics."""


async def signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """A person."""
    user_id = _caller(connection).user_id
    if user_id is None:
        raise Forbidden("This is for people, not for services.")
    context.act_as(actor.user(user_id))


async def administrator(connection: Connection, _: BaseRouteHandler) -> None:
    """A person with the role admin."""
    caller = _caller(connection)
    if not caller.is_administrator or caller.user_id is None:
        raise Forbidden("This needs the role admin.")
    context.act_as(actor.operator(caller.user_id))


async def operator(connection: Connection, handler: BaseRouteHandler) -> None:
    """An administrator, at the service's own address: the gateway has no route to what this guards."""
    await administrator(connection, handler)


class OnlyServices:
    """The guard that `services` makes; a class, so that the documentation can tell internal operations."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    async def __call__(self, connection: Connection, _: BaseRouteHandler) -> None:
        service = _caller(connection).service
        if service is None or (self._names and service not in self._names):
            raise Forbidden("This is an internal call.")
        context.act_as(actor.service(service))


def services(*names: str) -> Guard:
    """One of the named services."""
    assert names, "for all of them there is `any_service`"
    return OnlyServices(frozenset(names))


any_service = OnlyServices(frozenset())
"""Each service, those that are yet to come included."""


def _caller(connection: Connection) -> Caller:
    if connection.scope["auth"] is not None:
        raise connection.scope["auth"]
    caller: Caller = connection.scope["user"]
    if caller is ANONYMOUS:
        raise Unauthenticated
    return caller


def _bearer(values: Sequence[bytes]) -> str:
    if len(values) > 1:
        # Each costs a signature to check, and two readers could choose different ones.
        raise Unauthenticated("Authorization has to stand once.")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("Authorization has to be a bearer token.")
    return token.strip().decode("latin-1")
