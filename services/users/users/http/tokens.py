"""The OAuth 2 token endpoint, and sign-out."""

from typing import Any

import msgspec
from litestar import Response, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import JSONBody, URLEncodedBody

from chassis.persistence.database import Database
from chassis.problems import Refusal, UnsupportedType, refusal_to_problem
from chassis.security.access import Connection, anyone
from chassis.security.client_source import source_of
from chassis.web.requests import CallerRequest
from users import refresh_session, sign_in, sign_out
from users.domain.session import Session
from users.errors import InvalidRequest, UnsupportedGrantType
from users.http.schemas import SignOut, TokenForm, Tokens
from users.key_ring import KeyRing
from users.password_hasher import PasswordHasher
from users.settings import Settings
from users.sign_in import Credentials

DEVICE_COOKIE = "__Host-device"
"""By this prefix browsers accept it from this host alone, over TLS (or from localhost), and for all paths."""
FORM_BYTES_MAX = 16 * 1024
"""Enough for the longest address and password with each byte escaped. It also bounds the number of parameters, and so
the time to parse them."""


async def require_form(connection: Connection, _: BaseRouteHandler) -> None:
    content_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != RequestEncodingType.URL_ENCODED:
        raise UnsupportedType(f"The request body has to be {RequestEncodingType.URL_ENCODED.value}.")


def refuse_repeated_parameter(request: CallerRequest, _: ValidationException) -> Response[Any]:
    """All parameters are optional text, so the only invalid form is one that repeats a parameter."""
    refusal: Refusal = InvalidRequest("The form must not repeat a parameter.")
    return refusal_to_problem(refusal).to_response(request)


def routes(database: Database, hasher: PasswordHasher, key_ring: KeyRing, settings: Settings) -> list[HTTPRouteHandler]:
    @post(
        "/auth/token",
        # Anyone: a client that refreshes may send its expired access token along.
        guards=[anyone, require_form],
        exception_handlers={ValidationException: refuse_repeated_parameter},
        request_max_body_size=FORM_BYTES_MAX,
        status_code=200,
        summary="Sign in, or refresh (OAuth 2)",
    )
    async def make_tokens(request: CallerRequest, data: URLEncodedBody[TokenForm]) -> Response[Tokens]:
        match data.grant_type:
            case "password":
                credentials = _credentials(request, data)
                signed_in = await sign_in.sign_in(database, hasher, settings, credentials)
                answer = _answer(key_ring, signed_in.session, signed_in.refresh_token, signed_in.device_token)
                answer.set_cookie(_device_cookie(signed_in.device_token, settings.device_lifetime_s))
                return answer
            case "refresh_token":
                if data.refresh_token is None:
                    raise InvalidRequest("grant_type refresh_token requires refresh_token.")
                session, refresh_token = await refresh_session.refresh_session(
                    database,
                    refresh_token=data.refresh_token,
                    refresh_token_lifetime_s=settings.refresh_token_lifetime_s,
                )
                return _answer(key_ring, session, refresh_token)
            case None:
                raise InvalidRequest("grant_type is missing.")
            case _:
                raise UnsupportedGrantType

    @post("/auth/sign-out", guards=[anyone], status_code=204, summary="End a session")
    async def end_session(data: JSONBody[SignOut]) -> None:
        await sign_out.sign_out(database, data.refresh_token)

    return [make_tokens, end_session]


def _credentials(request: CallerRequest, form: TokenForm) -> Credentials:
    if form.username is None or form.password is None:
        raise InvalidRequest("grant_type password requires username and password.")
    return Credentials(
        email=form.username,
        password=form.password,
        source=source_of(request),
        device_token=form.device_token or request.cookies.get(DEVICE_COOKIE),
    )


def _answer(
    key_ring: KeyRing,
    session: Session,
    refresh_token: str,
    device_token: str | msgspec.UnsetType = msgspec.UNSET,
) -> Response[Tokens]:
    tokens = Tokens(
        device_token=device_token,
        access_token=key_ring.sign(session),
        expires_in=key_ring.token_lifetime_s,
        refresh_token=refresh_token,
    )
    return Response(tokens, headers={"cache-control": "no-store", "pragma": "no-cache"})


def _device_cookie(device_token: str, lifetime_s: int) -> Cookie:
    return Cookie(
        key=DEVICE_COOKIE,
        value=device_token,
        max_age=lifetime_s,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
