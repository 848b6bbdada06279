"""HTTP for sessions and keys: the OAuth 2 token endpoint, sign-out, revocations, the JWKS and its rotation."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter, URLEncodedBody

from chassis.messaging.relay import Relay
from chassis.persistence.database import Database
from chassis.problems import Refusal, UnsupportedType, refusal_to_problem
from chassis.security.access import Connection, administrator, any_service, anyone
from chassis.security.client_source import source_of
from chassis.security.revocations import PATH, Revocations
from chassis.security.tokens import Caller
from users.domain.session import Session
from users.errors import InvalidRequest, UnsupportedGrantType
from users.http.schemas import NextKey, PublicKeys, SignOut, TokenForm, Tokens
from users.key_ring import SigningKeys
from users.password_hashing.hasher import Passwords
from users.read_revocations import read_revocations
from users.refresh_session import refresh_session
from users.settings import Settings
from users.sign_in import Credentials, sign_in
from users.sign_out import sign_out

DEVICE_COOKIE = "__Host-device"
"""By its prefix browsers take it from this host alone, by TLS (or from localhost), and for all paths."""
FORM_BYTES_MAX = 16 * 1024
"""Room for the longest address and password with each byte escaped. To take a form apart costs time by its parameters,
which are then few enough."""
After = Annotated[
    str | None,
    QueryParameter(
        name="after",
        pattern=r"^\d{1,20}:\d{1,20}:[\d,]*$",
        max_length=20_000,
        description="`cursor` of the answer before. Without it: every revocation of which a token may be alive.",
    ),
]


async def only_forms(connection: Connection, _: BaseRouteHandler) -> None:
    content_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != RequestEncodingType.URL_ENCODED:
        raise UnsupportedType(f"The request body has to be {RequestEncodingType.URL_ENCODED.value}.")


def parameter_twice(request: Request[Any, Any, Any], _: ValidationException) -> Response[Any]:
    """All parameters are optional text, so what does not fit can only stand there twice."""
    refusal: Refusal = InvalidRequest("No parameter may stand in the form twice.")
    return refusal_to_problem(refusal).to_response(request)


@post(
    "/auth/token",
    # A client that refreshes may well send its expired access token along.
    guards=[anyone, only_forms],
    exception_handlers={ValidationException: parameter_twice},
    request_max_body_size=FORM_BYTES_MAX,
    status_code=200,
    summary="Sign in, or refresh (OAuth 2)",
)
async def make_tokens(
    request: Request[Any, Any, Any],
    data: URLEncodedBody[TokenForm],
    database: NamedDependency[Database],
    passwords: NamedDependency[Passwords],
    signing_keys: NamedDependency[SigningKeys],
    settings: NamedDependency[Settings],
) -> Response[Tokens]:
    match data.grant_type:
        case "password":
            if data.username is None or data.password is None:
                raise InvalidRequest("grant_type password needs username and password.")
            credentials = Credentials(
                email=data.username,
                password=data.password,
                source=source_of(request),
                device_token=data.device_token or request.cookies.get(DEVICE_COOKIE),
            )
            signed_in = await sign_in(database, passwords, settings, credentials)
            answer = _answer(signing_keys, signed_in.session, signed_in.refresh_token, signed_in.device_token)
            answer.set_cookie(_device_cookie(signed_in.device_token, settings.device_lifetime_s))
            return answer
        case "refresh_token":
            if data.refresh_token is None:
                raise InvalidRequest("grant_type refresh_token needs refresh_token.")
            session, refresh_token = await refresh_session(
                database, refresh_token=data.refresh_token, refresh_token_lifetime_s=settings.refresh_token_lifetime_s
            )
            return _answer(signing_keys, session, refresh_token)
        case None:
            raise InvalidRequest("grant_type is missing.")
        case _:
            raise UnsupportedGrantType


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


def _answer(
    signing_keys: SigningKeys,
    session: Session,
    refresh_token: str,
    device_token: str | msgspec.UnsetType = msgspec.UNSET,
) -> Response[Tokens]:
    tokens = Tokens(
        device_token=device_token,
        access_token=signing_keys.sign(session),
        expires_in=signing_keys.token_lifetime_s,
        refresh_token=refresh_token,
    )
    return Response(tokens, headers={"cache-control": "no-store", "pragma": "no-cache"})


@post("/auth/sign-out", guards=[anyone], status_code=204, summary="End a session")
async def end_session(data: JSONBody[SignOut], database: NamedDependency[Database]) -> None:
    await sign_out(database, data.refresh_token)


@get("/.well-known/jwks.json", guards=[anyone], sync_to_thread=False, summary="The public signing keys (JWKS)")
def show_keys(signing_keys: NamedDependency[SigningKeys]) -> Response[PublicKeys]:
    return Response(signing_keys.public_keys(), headers={"cache-control": "public, max-age=60"})


@post("/auth/keys/rotate", guards=[administrator], status_code=202, summary="Publish the next signing key")
async def rotate_keys(
    request: Request[Caller, Any, Any], signing_keys: NamedDependency[SigningKeys], relay: NamedDependency[Relay]
) -> NextKey:
    next_key = await signing_keys.rotate(request.user)
    relay.wake()
    return next_key


@get(PATH, guards=[any_service], summary="Which access tokens are revoked")
async def show_revocations(
    database: NamedDependency[Database], settings: NamedDependency[Settings], after: After = None
) -> Revocations:
    return await read_revocations(database, after=after, token_lifetime_s=settings.access_token_lifetime_s)


ROUTES: list[HTTPRouteHandler] = [make_tokens, end_session, show_keys, rotate_keys, show_revocations]
