"""Who speaks: access tokens of people (signed by the users service) and service tokens (signed by each service itself).

Both are JWTs with ES256 and nothing else: the algorithm is never taken from the token. A verified token is remembered,
since checking a signature costs more than all the rest of a small request. Whether it has expired, and whether its
rights still hold, is checked at each use.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from uuid_utils.compat import uuid7

from chassis.problems import Unauthenticated, Unavailable

AUDIENCE = "cartwright"
SERVICE_TOKEN_LIFETIME_S = 300
_CLOCK_SKEW_S = 10
_REMEMBERED_MAX = 20_000
_HEADER_CHARACTERS_MAX = 1_024
"""An algorithm and a key's id take a tenth of it. What anybody may send is not parsed at any length."""
_log = structlog.get_logger()


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request: a person with roles, or a service. An anonymous caller is neither.

    `account_version` is the version of the account of which the token was made. Times are seconds since 1970.
    """

    user_id: UUID | None = None
    roles: frozenset[str] = frozenset()
    service: str | None = None
    session_id: str | None = None
    account_version: int = 0
    issued_at: float = 0.0
    expires_at: float = 0.0

    @property
    def is_administrator(self) -> bool:
        return "admin" in self.roles


ANONYMOUS = Caller()


class Rights(Protocol):
    """Knows whether a token is as good as it was when it was issued."""

    async def confirm(self, caller: Caller) -> None:
        """Raises `TokenRevoked`, or `Unavailable` when that cannot be told. Is called with people only."""


class ServiceTokens:
    """Makes this service's tokens for calls to others; one is reused until shortly before it expires."""

    def __init__(self, service: str, key: str) -> None:
        self._service = service
        self._key = ECKey.import_key(msgspec.json.decode(key))
        self._made: dict[str, tuple[str, float]] = {}

    def token_for(self, target: str) -> str:
        """A service token that only `target` accepts."""
        token, renew_at = self._made.get(target, ("", 0.0))
        if time.monotonic() >= renew_at:
            now = int(time.time())
            claims = {
                "iss": f"service:{self._service}",
                "sub": self._service,
                "aud": target,
                "iat": now,
                "exp": now + SERVICE_TOKEN_LIFETIME_S,
                "typ": "service",
            }
            token = jwt.encode({"alg": "ES256", "kid": self._service}, claims, self._key, algorithms=["ES256"])
            self._made[target] = (token, time.monotonic() + SERVICE_TOKEN_LIFETIME_S / 2)
        return token


FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class UserKeys:
    """The public keys of the users service: fetched when first needed, and again for a key id that is not known yet.

    Keys that were fetched once go on to serve while users is down. Refetches are at least `refetch_s_min` apart, so
    that made-up key ids cannot turn this service into a hammer; while there are no keys at all, `retry_s_min`.
    """

    def __init__(self, fetch: FetchKeys, *, refetch_s_min: float = 5.0, retry_s_min: float = 0.5) -> None:
        self._fetch = fetch
        self._refetch_s_min = refetch_s_min
        self._retry_s_min = retry_s_min
        self._keys: dict[str, ECKey] = {}
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> ECKey | None:
        """The key with that id, or None when users knows none. Raises `Unavailable` when no keys could be had."""
        if key_id in self._keys:
            return self._keys[key_id]
        async with self._lock:
            pause_s = self._refetch_s_min if self._keys else self._retry_s_min
            if key_id not in self._keys and time.monotonic() - self._asked_at >= pause_s:
                await self._refetch()
        if not self._keys:
            raise Unavailable("The keys that access tokens are checked with are not available at the moment.")
        return self._keys.get(key_id)

    def holds(self, key_id: str) -> bool:
        """Whether the key is known and has not been withdrawn, as far as this service has heard."""
        return key_id in self._keys

    async def refresh(self) -> None:
        """Forget the keys that users has withdrawn, unless users cannot be asked."""
        async with self._lock:
            await self._refetch()

    async def _refetch(self) -> None:
        try:
            self._keys = keys_by_id(await self._fetch())
        except Exception as error:  # Whatever went wrong, the old keys go on to serve.
            _log.warning("the signing keys of users could not be fetched", error=str(error))
        finally:
            # Taken at the end: those who queued behind a fetch that took long must not each wait for one of their own.
            self._asked_at = time.monotonic()


def keys_by_id(jwks: Mapping[str, Any]) -> dict[str, ECKey]:
    """The EC keys of a JWKS by their `kid`; keys of other kinds are left out."""
    return {
        key.kid: key
        for key in KeySet.import_key_set(jwks).keys  # type: ignore[arg-type]
        if isinstance(key, ECKey) and key.kid
    }


class _Person(msgspec.Struct, frozen=True):
    """The claims of an access token that make a `Caller`."""

    sub: UUID
    iat: float
    exp: float
    roles: list[str] = []
    sid: str | None = None
    ver: int = 0
    """Zero where a replica of an older version has issued it: any revocation of the account refuses it."""


class TokenVerifier:
    """Turns a bearer token into a `Caller`. `rights` are asked each time, about remembered tokens too."""

    def __init__(self, *, service: str, issuer: str, user_keys: UserKeys, rights: Rights, service_keys: str) -> None:
        self._service = service
        self._issuer = issuer
        self._rights = rights
        self._user_keys = user_keys
        self._service_keys = keys_by_id(msgspec.json.decode(service_keys))
        self._remembered: OrderedDict[str, tuple[Caller, str]] = OrderedDict()
        """By token: its caller, and the id of the key that has signed it."""

    async def verify(self, token: str) -> Caller:
        """The caller whom `token` stands for.

        Raises `Unauthenticated`, or `Unavailable` while it is not known which keys or which rights are good.
        """
        remembered = self._remembered.get(token)
        if remembered is not None and self._holds(remembered[1]):
            await self.confirm(remembered[0])
            return remembered[0]
        caller, key_id = await self._checked(token)
        await self.confirm(caller)
        self._remembered[token] = (caller, key_id)
        while len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return caller

    async def confirm(self, caller: Caller) -> None:
        """Check that the caller's token is still valid, as a long response has to.

        Raises `Unauthenticated` when it has expired or is revoked, or `Unavailable` as `verify` does.
        """
        if time.time() >= caller.expires_at:
            raise Unauthenticated("The access token has expired.")
        if caller.user_id is not None:
            await self._rights.confirm(caller)

    def _holds(self, key_id: str) -> bool:
        return key_id in self._service_keys or self._user_keys.holds(key_id)

    async def _checked(self, token: str) -> tuple[Caller, str]:
        try:
            return await self._check(token)
        except (JoseError, ValueError, KeyError, TypeError, UnicodeError, RecursionError) as error:
            raise Unauthenticated(f"The access token is not accepted: {type(error).__name__}.") from None

    async def _check(self, token: str) -> tuple[Caller, str]:
        header = msgspec.json.decode(_header_of(token), type=dict[str, Any])
        key_id = header.get("kid")
        if header.get("alg") != "ES256" or not isinstance(key_id, str):
            raise Unauthenticated("The access token is not accepted: only ES256 with a key id is.")
        key = self._service_keys.get(key_id)
        by_service = key is not None
        if key is None:
            key = await self._user_keys.key(key_id)
        if key is None:
            raise Unauthenticated("The access token is not accepted: its key is not known.")
        claims = jwt.decode(token, key, algorithms=["ES256"]).claims
        if float(claims["iat"]) > time.time() + _CLOCK_SKEW_S:
            raise Unauthenticated("The access token is from the future.")
        return self._service_caller(claims, key_id) if by_service else self._person(claims), key_id

    def _service_caller(self, claims: Mapping[str, Any], key_id: str) -> Caller:
        expected = {"iss": f"service:{key_id}", "sub": key_id, "aud": self._service, "typ": "service"}
        if any(claims.get(name) != value for name, value in expected.items()):
            raise Unauthenticated("The service token is meant for another use.")
        return Caller(service=key_id, expires_at=float(claims["exp"]))

    def _person(self, claims: Mapping[str, Any]) -> Caller:
        expected = {"iss": self._issuer, "aud": AUDIENCE, "typ": "access"}
        if any(claims.get(name) != value for name, value in expected.items()):
            raise Unauthenticated("The token is none for access.")
        person = msgspec.convert(claims, _Person)
        return Caller(
            user_id=person.sub,
            roles=frozenset(person.roles),
            session_id=person.sid,
            account_version=person.ver,
            issued_at=person.iat,
            expires_at=person.exp,
        )


def access_claims(
    *, issuer: str, user_id: UUID, account_version: int, roles: list[str], session_id: str, lifetime_s: int
) -> dict[str, Any]:
    """The claims of an access token, as `TokenVerifier` expects them."""
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "roles": roles,
        "sid": session_id,
        "ver": account_version,
        "iat": now,
        "exp": now + lifetime_s,
        "jti": str(uuid7()),
        "typ": "access",
    }


def _header_of(token: str) -> bytes:
    encoded = token.split(".", 1)[0]
    if len(encoded) > _HEADER_CHARACTERS_MAX:
        raise Unauthenticated("The access token is not accepted: its header is too long.")
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
